import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from leopard.cli.main import build_app
from leopard.errors import DocumentFormatError


def run(*args):
    return subprocess.run(
        [sys.executable, "-m", "leopard.cli.main", *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_names_the_commands_and_loads_nothing_heavy():
    code = (
        "import sys; from leopard.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'transformers', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "[]"
    text = done.stdout
    places = [text.index(f" {name} ") for name in ("ask", "inspect", "models", "convert")]
    assert places == sorted(places)


def test_version_is_printed():
    result = CliRunner().invoke(build_app(), ["--version"])
    assert result.exit_code == 0
    assert result.output.startswith("leopard 0.")


def test_user_errors_are_one_line_with_exit_code_two():
    done = run("ask", "What?")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "a file and a question are needed" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_usage_has_exit_code_two():
    done = run("ask", "--nonsense")
    assert done.returncode == 2
    assert "nonsense" in done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DocumentFormatError("is torn", source="a.pdf", page=2, remedy="mend it"), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_become_exit_codes(error, code):
    app = build_app()

    def fail() -> None:
        raise error

    app.command("fail")(fail)
    result = CliRunner().invoke(app, ["fail"])
    assert result.exit_code == code
    if code == 2:
        assert result.stderr == "leopard: a.pdf, page 2: is torn; mend it\n"


def test_every_command_module_is_found():
    app = build_app()
    names = {command.name for command in app.registered_commands}
    assert {"ask", "inspect", "models", "convert"} <= names
    assert isinstance(app, typer.Typer)
