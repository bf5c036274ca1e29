"""Fixtures shared by all tests: a tiny model folder and drawn pages."""

import importlib.util
import shutil
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from leopard.schema.pages import Page

HAS_VLLM = importlib.util.find_spec("vllm") is not None


def pytest_collection_modifyitems(config, items):
    """Deselect what needs vLLM where it is not installed."""
    if HAS_VLLM:
        # vLLM changes classes of transformers in its process: whatever needs them comes before.
        items.sort(key=lambda item: item.get_closest_marker("vllm") is not None)
        return
    needing = [item for item in items if item.get_closest_marker("vllm")]
    if needing:
        items[:] = [item for item in items if not item.get_closest_marker("vllm")]
        config.hook.pytest_deselected(items=needing)


def pytest_terminal_summary(terminalreporter, config):
    """The last lines say what was not tested, and why."""
    lines = untested(terminalreporter.stats, config.option.markexpr)
    if lines:
        terminalreporter.write_sep("-", "not tested here")
        for line in lines:
            terminalreporter.write_line(line)


def untested(stats, markers: str) -> list[str]:
    """A line for each reason for which tests were left out, with their number.

    Args:
        stats: pytest's outcome -> what ended so; deselected tests come as items, skipped ones as
            reports, a module that is skipped as a whole as one report.
        markers: What `-m` says.
    """
    causes = {name: why for name, why in LEFT_OUT.items() if f"not {name}" in markers}
    if not HAS_VLLM:
        causes = {"vllm": "vLLM is not installed; see docs/vllm.md"} | causes
    reasons = Counter()
    for report in stats.get("skipped", ()):
        if isinstance(report.longrepr, tuple):  # else an expected failure
            place, _, reason = report.longrepr
            what = "whole module " if isinstance(report, pytest.CollectReport) else ""
            reasons[f"{reason.removeprefix('Skipped: ')} ({what}{Path(place).name})"] += 1
    for item in stats.get("deselected", ()):
        marks = [name for name in causes if item.get_closest_marker(name)]
        if marks:
            reasons[causes[marks[0]]] += 1
    return [f"{count:5}  {reason}" for reason, count in sorted(reasons.items())]


LEFT_OUT = {
    "gpu": "marked gpu: needs a CUDA device",
    "network": "marked network: needs the network",
    "slow": "marked slow: `make test-all` runs it",
}
"""Marker -> why `-m "not ..."` leaves its tests out."""
TOKENIZER = Path(__file__).parent / "parity" / "vectors" / "leopard_llava_tiny"


def draw_page(seed: int, size: tuple[int, int] = (120, 160)) -> Image.Image:
    """A page with shapes and words that differ by seed."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for row in range(4):
        colour = tuple((seed * 37 + row * 53 + channel * 91) % 256 for channel in range(3))
        top = 8 + row * size[1] // 4
        draw.rectangle((6, top, 20 + (seed * 29 + row * 17) % 90, top + 14), fill=colour)
        draw.text((10, top + 18), f"page {seed} row {row}", fill="black")
    return image


@pytest.fixture
def drawn_pages() -> list[Page]:
    """Three different pages of one document."""
    return [Page(draw_page(seed), "drawn.pdf", seed, 3) for seed in (1, 2, 3)]


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory) -> Path:
    """A complete saved model of random weights: crops of 56 px, 4 visual tokens each."""
    from leopard.model.dummy import build_dummy
    from leopard.processor import LeopardProcessor

    folder = tmp_path_factory.mktemp("models") / "tiny"
    model = build_dummy("tiny", seed=5)
    model.generation_config.eos_token_id = [257, 265]
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(TOKENIZER / name, folder / name)
    LeopardProcessor.from_pretrained(folder, max_crops=12).save_pretrained(folder)
    return folder
