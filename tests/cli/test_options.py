from dataclasses import asdict

import pytest
from typer.testing import CliRunner

from leopard.cli import _options as options
from leopard.cli.main import build_app
from leopard.documents import Limits
from leopard.errors import ConfigError

GIVEN = {
    "--max-pages": ("7", {"max_pages": 7}),
    "--max-megapixels": ("1.5", {"max_pixels": 1_500_000}),
    "--max-megabytes": ("0.5", {"max_bytes": 2**19}),
    "--max-seconds": ("2.5", {"max_seconds": 2.5}),
}


def test_no_option_leaves_the_usual_limits():
    assert options.limits(None, None, None, None) == Limits()


@pytest.mark.parametrize("name", GIVEN)
def test_each_option_sets_its_limit(name):
    text, wanted = GIVEN[name]
    values = [float(text) if option == name else None for option in GIVEN]
    assert asdict(options.limits(*values)) == {**asdict(Limits()), **wanted}


def test_limits_are_above_nothing():
    with pytest.raises(ConfigError, match="max_bytes is 0"):
        options.limits(None, None, 0.0, None)


@pytest.mark.parametrize("command", ["ask", "inspect", "index"])
def test_commands_that_open_documents_have_the_options(command):
    text = CliRunner().invoke(build_app(), [command, "--help"], env={"COLUMNS": "200"}).output
    for name in GIVEN:
        assert name in text
