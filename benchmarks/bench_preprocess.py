"""Pages to crops: this project against transformers' SigLIP image processor, in one run.

The stock path is what published inference does: scale and pad with Pillow, cut tiles, then one
call of `SiglipImageProcessor` for the thumbnail and for each tile. Both paths give the same bits,
which is checked first. Then from a PDF file to crops: the stock path draws pages at 200 dpi, as
scans are, and scales them; Leopard draws them as large as their tiles will be.
Run: python benchmarks/bench_preprocess.py [--repeats N]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
from bench_documents import write_pdf
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from leopard.documents import LoadOptions, load_pages
from leopard.processor.crops import CropPlan, plan_crops, stack_crops
from leopard.schema.geometry import ImageSize


def page(width: int, height: int, seed: int) -> PIL.Image.Image:
    """A page of random words, so that no resampler meets constant areas only."""
    random = np.random.default_rng(seed)
    image = PIL.Image.new("RGB", (width, height), "white")
    draw = PIL.ImageDraw.Draw(image)
    for top in range(60, height - 60, 28):
        words = "  ".join(str(number) for number in random.integers(0, 10**6, 18))
        draw.text((60, top), words, fill=(20, 20, 60))
    return image


def stock(images: list[PIL.Image.Image], plan: CropPlan, processor: object) -> np.ndarray:
    """The published steps with transformers' own image processor."""
    crops = []
    for image, tiled in zip(images, plan.images, strict=True):
        parts = [image]
        if tiled.canvas and tiled.resized and tiled.paste_at:
            canvas = PIL.Image.new("RGB", (tiled.canvas.width, tiled.canvas.height))
            scaled = image.resize((tiled.resized.width, tiled.resized.height))
            canvas.paste(scaled, tiled.paste_at)
            parts += [canvas.crop(box) for box in tiled.tile_boxes]
        for part in parts:
            crops.append(processor(part, return_tensors="np")["pixel_values"])  # type: ignore[operator]
    return np.concatenate(crops)


def best_of(repeats: int, run: Callable[[], object]) -> tuple[float, float]:
    """Shortest wall-clock and CPU seconds of several runs."""
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls), min(cpus)


def report(
    case: str,
    pages: int,
    crops: int,
    theirs: Callable[[], object],
    ours: Callable[[], object],
    repeats: int,
) -> None:
    """Measure both sides and print one JSON object."""
    stock_s, leopard_s = best_of(repeats, theirs), best_of(repeats, ours)
    record = {
        "case": case,
        "crops": crops,
        "stock_ms_per_page": round(1000 * stock_s[0] / pages, 1),
        "leopard_ms_per_page": round(1000 * leopard_s[0] / pages, 1),
        "wall_ratio": round(stock_s[0] / leopard_s[0], 2),
        "cpu_ratio": round(stock_s[1] / leopard_s[1], 2),
    }
    print(json.dumps(record), flush=True)


def plan_of(images: list[PIL.Image.Image]) -> CropPlan:
    """The published plan for these images."""
    return plan_crops([ImageSize(image.width, image.height) for image in images])


def from_file(pdf: Path, pages: int, processor: object, repeats: int) -> None:
    """From a PDF to crops."""
    write_pdf(pdf, pages)
    scan = LoadOptions(target_dpi=200)

    def theirs() -> np.ndarray:
        images = [one.image for one in load_pages([pdf], options=scan).pages]
        return stock(images, plan_of(images), processor)

    def ours() -> np.ndarray:
        images = [one.image for one in load_pages([pdf]).pages]
        return stack_crops(images, plan_of(images))

    report(f"PDF of {pages}, from the file", pages, len(ours()), theirs, ours, repeats)


def main() -> None:
    """Measure and print one JSON object per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    repeats = arguments.repeats
    processor = SiglipImageProcessorPil(size={"height": 364, "width": 364}, resample=3)
    cases = {
        "one letter page, 200 dpi": [ImageSize(1700, 2200)],
        "four letter pages, 200 dpi": [ImageSize(1700, 2200)] * 4,
        "twelve slides": [ImageSize(1920, 1080)] * 12,
        "forty thumbnails": [ImageSize(1280, 960)] * 40,
    }
    for name, sizes in cases.items():
        images = [page(size.width, size.height, seed) for seed, size in enumerate(sizes)]
        plan = plan_crops(sizes)
        assert np.array_equal(stock(images, plan, processor), stack_crops(images, plan))
        report(
            name,
            len(sizes),
            plan.num_crops,
            lambda i=images, p=plan: stock(i, p, processor),
            lambda i=images, p=plan: stack_crops(i, p),
            repeats,
        )
    with tempfile.TemporaryDirectory() as folder:
        for pages in (1, 4, 12, 40):
            from_file(Path(folder) / f"{pages}.pdf", pages, processor, repeats)


if __name__ == "__main__":
    main()
