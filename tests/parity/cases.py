"""Parity vectors: numbers recorded from the published implementation on tiny random weights."""

import hashlib
import json
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

VECTORS = Path(__file__).parent / "vectors"
LLAVA_FOLDER = VECTORS / "leopard_llava_tiny"
IDEFICS2_FOLDER = VECTORS / "leopard_idefics2_tiny"


def read_json(name: str) -> Any:
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


def cases(variant: str) -> dict[str, dict[str, Any]]:
    return {case["id"]: case for case in read_json(f"{variant}_cases.json")["cases"]}


def arrays(variant: str) -> dict[str, torch.Tensor]:
    return load_file(VECTORS / f"{variant}_cases.safetensors")


def open_images(case: dict[str, Any]) -> list[Image.Image]:
    return [Image.open(VECTORS / name).convert("RGB") for name in case["images"]]


def sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def llava_pixels(case: dict[str, Any]) -> torch.Tensor:
    """Crops of a case from its recorded grids: thumbnail, then tiles, row by row."""
    crops: list[Image.Image] = []
    grids = case["best_resolutions_wh"] or [None] * len(case["images"])
    for image, grid in zip(open_images(case), grids, strict=True):
        crops.append(image.resize((364, 364), Image.Resampling.BICUBIC))
        crops.extend([] if grid is None else _tiles(image, *grid))
    values = np.stack([np.asarray(crop) for crop in crops]).astype(np.float64) / 1.0
    values = (values * 0.00392156862745098).astype(np.float32)
    values = (values - np.float32(0.5)) / np.float32(0.5)
    return torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))


def _tiles(image: Image.Image, width: int, height: int) -> list[Image.Image]:
    across, down = width / image.width, height / image.height
    if across < down:
        size = (width, min(ceil(image.height * across), height))
    else:
        size = (min(ceil(image.width * down), width), height)
    canvas = Image.new("RGB", (width, height))
    canvas.paste(
        image.resize(size, Image.Resampling.BICUBIC),
        ((width - size[0]) // 2, (height - size[1]) // 2),
    )
    return [
        canvas.crop((x, y, x + 364, y + 364))
        for y in range(0, height, 364)
        for x in range(0, width, 364)
    ]
