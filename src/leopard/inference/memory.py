"""How much memory an answer takes, from configuration and sizes alone, before anything is run.

Counted is what the arithmetic needs at its peak: weights, pages, crops, activations of the vision
encoder and of the language model, keys and values. Not counted are Python and torch themselves,
about 0.4 GiB. Knows nothing of files or prompts.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from leopard.errors import GenerationError
from leopard.inference.growing_cache import ROOM
from leopard.schema.geometry import ImageSize

GIB = 2**30
CHUNKS = (16, 8, 4, 2, 1)
"""Crops that the vision encoder sees at once, from many to few."""
PIECES = (16384, 4096, 1024, 256)
"""Prompt positions that the language model reads at once, from many to few."""
_RESERVE = 0.05
"""Share of the free memory that is left to others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """What is to be answered, in numbers."""

    sizes: tuple[ImageSize, ...]
    """Pages, in pixels."""
    num_crops: int
    """Inputs of the vision encoder."""
    positions: int
    """Prompt and answer, in tokens."""
    undrawn: tuple[ImageSize, ...] = ()
    """Those of the pages that are not in memory yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryEstimate:
    """Bytes at the peak of one answer, and how they come about."""

    weights: int
    pages: int
    """Pages as pixels, four bytes each, as Pillow keeps them."""
    visual_tokens: int
    """What the vision encoder gives, with the copy that the cache keeps."""
    vision: int
    """Crops and activations of one chunk."""
    keys_values: int
    """What the language model keeps of each position."""
    reading: int
    """Embeddings of the prompt and activations of one piece."""
    chunk: int
    """Crops at once."""
    piece: int
    """Prompt positions at once."""

    @property
    def answer(self) -> int:
        """What comes on top of weights and pages."""
        return self.visual_tokens + max(self.vision, self.keys_values + self.reading)

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.pages + self.answer

    def to_dict(self) -> dict[str, int]:
        """Bytes by part, and the total."""
        names = ("weights", "pages", "visual_tokens", "vision", "keys_values", "reading")
        return {**{name: getattr(self, name) for name in names}, "total": self.total}


def estimate_memory(
    config: Any,
    demand: Demand,
    *,
    weight_bytes: int,
    value_bytes: int = 4,
    chunk: int | None = None,
    piece: int = PIECES[0],
) -> MemoryEstimate:
    """Predict the peak of one answer.

    Args:
        config: Of a Leopard model with crops.
        demand: What is to be answered.
        weight_bytes: Bytes of all weights in memory.
        value_bytes: Bytes of one activation.
        chunk: Crops at once; those of the configuration by default.
        piece: Prompt positions at once.
    """
    text = config.text_config
    chunk = min(chunk or config.vision_chunk_size, max(demand.num_crops, 1))
    per_crop = config.crop_geometry.visual_tokens_per_crop
    tokens = demand.num_crops * per_crop * text.hidden_size * value_bytes
    per_position = 2 * text.num_hidden_layers * text.num_key_value_heads * head_dim_of(text)
    return MemoryEstimate(
        weights=weight_bytes,
        pages=page_bytes(demand.sizes),
        # One copy in the cache, one in prompt order.
        visual_tokens=2 * tokens,
        vision=_vision_bytes(config, demand, chunk, value_bytes) if demand.num_crops else 0,
        keys_values=per_position * (demand.positions + ROOM) * value_bytes,
        reading=_reading_bytes(text, demand.positions, min(piece, demand.positions), value_bytes),
        chunk=chunk,
        piece=piece,
    )


def page_bytes(sizes: Iterable[ImageSize]) -> int:
    """Bytes of pages as pixels, four bytes each, as Pillow keeps them."""
    return 4 * sum(size.area for size in sizes)


def head_dim_of(text: Any) -> int:
    """Numbers of a head of attention."""
    return int(getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)


def _vision_bytes(config: Any, demand: Demand, chunk: int, value_bytes: int) -> int:
    """Pixels of a chunk, waiting, stacked and made ahead, and of a page; the widest layer."""
    vision = config.vision_config
    side = int(vision.image_size)
    pixels = 3 * side**2 * 4
    page = min(demand.num_crops, 12)
    cells = (side // int(vision.patch_size)) ** 2
    if hasattr(vision, "conv_channels"):
        # Three maps of a residual block at a quarter of the side.
        widest = 3 * vision.conv_channels * (side // 4) ** 2
    else:
        # The hidden states twice, and two maps of the inner layer around its activation.
        widest = cells * (2 * vision.hidden_size + 2 * vision.intermediate_size)
    kept = 2 * cells * vision.hidden_size
    count: int = pixels * (3 * chunk + page) + chunk * (widest + kept) * value_bytes
    return count


def _reading_bytes(text: Any, positions: int, piece: int, value_bytes: int) -> int:
    """Embeddings with and without visual tokens, and the widest layer for one piece."""
    embeddings = 2 * positions * text.hidden_size
    # Queries, rotated ones, the mix and its copy; keys, rotated ones, values.
    attention = head_dim_of(text) * (4 * text.num_attention_heads + 3 * text.num_key_value_heads)
    layer = piece * (2 * text.hidden_size + max(attention, 3 * text.intermediate_size))
    count: int = (embeddings + layer + text.vocab_size) * value_bytes
    return count


def fit_memory(
    config: Any,
    demand: Demand,
    *,
    limit: int,
    weight_bytes: int,
    value_bytes: int = 4,
    most: int | None = None,
) -> MemoryEstimate:
    """The quickest way to answer within a number of bytes.

    Args:
        config: As in `estimate_memory`.
        demand: What is to be answered.
        limit: Most bytes at the peak.
        weight_bytes: As in `estimate_memory`.
        value_bytes: As in `estimate_memory`.
        most: Prompt positions that the engine reads at once in any case, where it does.

    Raises:
        GenerationError: If even the smallest pieces do not fit; names need and limit.
    """
    found = None
    for chunk, piece in _ways(config.vision_chunk_size):
        found = estimate_memory(
            config,
            demand,
            weight_bytes=weight_bytes,
            value_bytes=value_bytes,
            chunk=chunk,
            piece=min(piece, most or piece),
        )
        if found.total <= limit:
            return found
    assert found is not None
    raise GenerationError(
        f"this answer needs {gibibytes(found.total)} of memory (weights "
        f"{gibibytes(found.weights)}, keys and values of {demand.positions} positions "
        f"{gibibytes(found.keys_values)}) and {gibibytes(limit)} may be used; choose fewer pages, "
        "a smaller max_crops, weights int8, or a model with fewer weights"
    )


def _ways(chunk_size: int) -> Iterator[tuple[int, int]]:
    """Chunks and pieces, the largest first; one of the two shrinks at a time."""
    chunks = [chunk_size, *(chunk for chunk in CHUNKS if chunk < chunk_size)]
    steps = max(len(chunks), len(PIECES))
    for step in range(steps):
        for chunk_step in sorted({max(step - 1, 0), step}):
            yield chunks[min(chunk_step, len(chunks) - 1)], PIECES[min(step, len(PIECES) - 1)]


def weight_bytes_of(model: torch.nn.Module) -> int:
    """Bytes of the weights of a loaded model, shared ones once, quantised ones too."""
    seen = {}
    for tensor in (*model.parameters(), *model.buffers()):
        seen[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
    packed = sum(getattr(module, "packed_bytes", 0) for module in model.modules())
    return sum(seen.values()) + packed


def give_back() -> None:
    """Hand memory that was freed back to the system, where glibc keeps it."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def free_bytes(device: torch.device) -> int:
    """Memory that can still be used on a device, less a reserve."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free * (1 - _RESERVE))
    return int(_free_host_bytes() * (1 - _RESERVE))


def _free_host_bytes() -> int:
    """What Linux calls available, within the limit of a container; elsewhere all there is."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(kib * 1024, _container_bytes())


def _container_bytes() -> int:
    group = Path("/sys/fs/cgroup")
    try:
        most = (group / "memory.max").read_text(encoding="ascii").strip()
        used = int((group / "memory.current").read_text(encoding="ascii"))
        return max(int(most) - used, 0)
    except (OSError, ValueError):  # no container, or no limit ("max")
        return 2**62


def gibibytes(count: int) -> str:
    """A number of bytes as people read it."""
    return f"{count / GIB:.2f} GiB"
