"""What a run tells: a log of JSON lines, TensorBoard, a picture of the loss, a progress bar.

Only the main process reports. Knows nothing of models or data.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leopard.errors import ConfigError
from leopard.schema.files import write_text_atomically
from leopard.training.settings import ReportSettings

if TYPE_CHECKING:
    from rich.progress import Progress

LOG_FILE = "log.jsonl"
CURVE_FILE = "loss.svg"
_CURVE_POINTS = 600
_CURVE_EVERY = 20
"""Log lines between two drawings of the curve."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepReport:
    """What one step did; sums over all processes."""

    step: int
    """Steps done, this one included."""
    loss: float
    """Mean cross entropy over all learned positions of the step."""
    grad_norm: float
    """Norm of the gradient before clipping."""
    lr: dict[str, float]
    """Learning rate by part."""
    samples: int
    passes: int
    """Forward passes of the busiest process."""
    tokens: int
    visual_tokens: int
    crops: int
    learned: int
    """Positions whose token was learnt."""
    seconds: float
    wait_s: float
    """Of these, waiting for data."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Reason -> samples left out or shortened since the run began."""


class RunLog:
    """Writes what a run tells into its folder.

    Args:
        out: Folder of the run.
        settings: What is written.
        total: Steps of the run.
        start: Steps that are done already; later lines of an earlier attempt are taken out.
    """

    def __init__(self, out: Path, settings: ReportSettings, *, total: int, start: int) -> None:
        self.path = out / LOG_FILE
        self._settings = settings
        self._curve = out / CURVE_FILE
        self._lines = [line for line in read_log(out) if line["step"] <= start]
        text = "".join(json.dumps(line) + "\n" for line in self._lines)
        write_text_atomically(self.path, text)
        self._board = _open_board(out, start) if settings.tensorboard else None
        self._bar = _Bar(total, start) if settings.progress else None

    def add(self, report: StepReport) -> None:
        """Report one step."""
        if self._bar is not None:
            self._bar.advance(report)
        if report.step % self._settings.every_steps:
            return
        values = asdict(report)
        self._lines.append(values)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")
        self._add_to_board(report)
        if len(self._lines) % _CURVE_EVERY == 0:
            self.draw()

    def note(self, text: str) -> None:
        """Say something beside the bar."""
        if self._bar is not None:
            self._bar.note(text)

    def draw(self) -> None:
        """Bring the picture of the loss up to date."""
        if self._settings.curve and self._lines:
            points = [(int(line["step"]), float(line["loss"])) for line in self._lines]
            write_text_atomically(self._curve, loss_curve(points))

    def close(self) -> None:
        """Finish all files."""
        self.draw()
        if self._board is not None:
            self._board.close()
        if self._bar is not None:
            self._bar.close()

    def _add_to_board(self, report: StepReport) -> None:
        if self._board is None:
            return
        rate = report.visual_tokens / max(report.seconds, 1e-9)
        scalars = {"loss": report.loss, "grad_norm": report.grad_norm, "visual_tokens_per_s": rate}
        scalars.update({f"lr/{part}": value for part, value in report.lr.items()})
        for name, value in scalars.items():
            self._board.add_scalar(name, value, report.step)


def read_log(out: Path) -> list[dict[str, Any]]:
    """Lines of a run's log; a last line that was cut off is left out."""
    path = out / LOG_FILE
    if not path.exists():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


def _open_board(out: Path, start: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "report.tensorboard needs tensorboard, which is not installed: pip install tensorboard"
        ) from error
    return SummaryWriter(str(out / "tensorboard"), purge_step=start + 1)


class _Bar:
    """A progress bar on the terminal, or a line now and then elsewhere."""

    def __init__(self, total: int, start: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._total = total
        self._every = max(1, total // 20)
        columns = [TextColumn("training"), BarColumn(), MofNCompleteColumn(), Remaining()]
        self._progress: Progress = Progress(
            *columns, TextColumn("{task.description}"), console=self._console
        )
        self._task = self._progress.add_task("", total=total, completed=start)
        if self._console.is_terminal:
            self._progress.start()

    def advance(self, report: StepReport) -> None:
        rate = report.visual_tokens / max(report.seconds, 1e-9)
        text = f"loss {report.loss:.3f}, {rate:,.0f} visual tokens/s"
        self._progress.update(self._task, completed=report.step, description=text)
        last = report.step == self._total
        if not self._console.is_terminal and (last or report.step % self._every == 0):
            self._console.print(f"step {report.step} of {self._total}: {text}")

    def note(self, text: str) -> None:
        self._console.print(text, markup=False)

    def close(self) -> None:
        if self._console.is_terminal:
            self._progress.stop()


# --- The picture -----------------------------------------------------------------------------

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 720, 360, 56, 24, 16, 40


def loss_curve(points: Sequence[tuple[int, float]]) -> str:
    """The loss over the steps as an SVG picture: each step pale, their running mean dark.

    Args:
        points: (step, loss), at least one, in order of steps.
    """
    every = -(-len(points) // _CURVE_POINTS)
    steps = [step for step, _ in points]
    top = max(loss for _, loss in points) * 1.05 or 1.0
    span = max(steps[-1] - steps[0], 1)

    def place(step: float, loss: float) -> str:
        x = _LEFT + (step - steps[0]) / span * (_WIDTH - _LEFT - _RIGHT)
        y = _TOP + (1 - loss / top) * (_HEIGHT - _TOP - _BOTTOM)
        return f"{x:.1f},{y:.1f}"

    raw = " ".join(place(step, loss) for step, loss in points[::every])
    means = _running_mean([loss for _, loss in points], window=max(1, len(points) // 20))
    smooth = " ".join(
        place(step, mean) for step, mean in list(zip(steps, means, strict=True))[::every]
    )
    ticks = "".join(_tick(top * share, top) for share in (0, 0.25, 0.5, 0.75, 1))
    bottom = _HEIGHT - _BOTTOM + 18
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="11" fill="#333">\n'
        f'<title>Loss</title><rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>\n{ticks}'
        f'<polyline points="{raw}" fill="none" stroke="#9bb8d3" stroke-width="1"/>\n'
        f'<polyline points="{smooth}" fill="none" stroke="#1f4e79" stroke-width="2"/>\n'
        f'<text x="{_LEFT}" y="{bottom}">step {steps[0]}</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{bottom}" text-anchor="end">step {steps[-1]}</text>'
        f'<text x="{_LEFT}" y="14">loss: mean cross entropy of learned tokens, last '
        f"{means[-1]:.3f}</text>\n</svg>\n"
    )


def _tick(value: float, top: float) -> str:
    y = _TOP + (1 - value / top) * (_HEIGHT - _TOP - _BOTTOM)
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>\n'
    )


def _running_mean(values: Sequence[float], window: int) -> list[float]:
    means, total = [], 0.0
    for index, value in enumerate(values):
        total += value
        if index >= window:
            total -= values[index - window]
        means.append(total / min(index + 1, window))
    return means
