"""Runs the graph of a decoder on the caches of the engine, without copying keys or values.

ONNX Runtime is given the memory of the cache itself: it reads what is there and writes new keys and
values behind it. Knows nothing of prompts.
"""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from leopard.errors import GenerationError
from leopard.inference.growing_cache import Buffer, GrowingLayer, cache_of
from leopard.inference.onnx.graph import DecoderSizes

PIECE = 128
"""Most new positions at once. More take more memory and are not quicker."""
_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
_TYPES = {torch.float32: np.float32, torch.int64: np.int64, torch.int32: np.int32}


class OnnxDecoder:
    """See `leopard.inference.decoders.Decoder`.

    Args:
        graph: The written graph.
        folder: Folder of its weights; not needed afterwards.
        sizes: Of the language model.
        threads: Number of threads; those of torch by default.
    """

    # The operator knows one place for all rows when it reads several positions.
    reads_padded = False
    takes_masks = True
    most_positions = PIECE

    def __init__(
        self, graph: bytes, folder: Path, sizes: DecoderSizes, threads: int | None = None
    ) -> None:
        self._sizes = sizes
        self._session = _session(graph, folder, threads or torch.get_num_threads())
        self._binding = self._session.io_binding()
        self._bound: list[weakref.ReferenceType[Buffer]] = []

    def new_cache(self) -> DynamicCache:
        """An empty cache of this model."""
        return cache_of(GrowingLayer() for _ in range(self._sizes.layers))

    @torch.inference_mode()
    def read(
        self,
        embeds: Tensor,
        positions: Tensor,
        cache: DynamicCache,
        *,
        mask: Tensor | None = None,
        kept: Tensor | None = None,
    ) -> Tensor:
        """See `leopard.inference.decoders.Decoder.read`.

        Raises:
            GenerationError: If ONNX Runtime fails.
        """
        new = embeds.shape[1]
        assert new == 1 or mask is None or mask.dim() == 4, "prompts are read one by one"
        kept = torch.tensor([new - 1]) if kept is None else kept
        past = cache.get_seq_length()
        bias = None if mask is None else _bias(mask)
        logits = []
        for start in range(0, new, PIECE):
            end = min(start + PIECE, new)
            here = kept[(kept >= start) & (kept < end)] - start
            found = self._read_piece(
                (embeds[:, start:end], positions[:, start:end]),
                cache,
                # Scores must be had of something; these are dropped.
                here if len(here) else torch.tensor([0]),
                None if bias is None else bias[:, :, start:end, : past + end],
                reserve=past + new,
            )
            logits += [found] if len(here) else []
        return torch.cat(logits, dim=1) if len(logits) > 1 else logits[0]

    def _read_piece(
        self,
        given: tuple[Tensor, Tensor],
        cache: DynamicCache,
        kept: Tensor,
        bias: Tensor | None,
        *,
        reserve: int,
    ) -> Tensor:
        """As `read`, for positions few enough to be read at once."""
        embeds, positions = given
        rows, new, _ = embeds.shape
        total = cache.get_seq_length() + new
        self._bind_memory(self._extended(cache, rows, new, reserve))
        inputs = {
            "embeds": embeds.float().contiguous(),
            "positions": positions.contiguous(),
            "bias": torch.zeros(1, 1, new, total) if bias is None else bias.contiguous(),
            "last": torch.full((rows,), total - 1, dtype=torch.int32),
            "total": torch.tensor([total], dtype=torch.int32),
            "kept": kept,
        }
        logits = torch.empty(rows, len(kept), self._sizes.vocabulary)
        for name, tensor in inputs.items():
            self._binding.bind_input(*_place(name, tensor))
        self._binding.bind_output(*_place("logits", logits))
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # the runtime's errors share no other base
            raise GenerationError(
                f"ONNX Runtime failed ({str(error).splitlines()[0]}); use engine torch"
            ) from error
        return logits

    def _extended(self, cache: DynamicCache, rows: int, new: int, reserve: int) -> list[Buffer]:
        """Memory of each layer with room for the new positions."""
        like = torch.empty(rows, self._sizes.key_value_heads, 0, self._sizes.head_dim)
        buffers = []
        for layer in cache.layers:
            assert isinstance(layer, GrowingLayer)
            buffers.append(layer.extend(new, like, like, reserve=reserve))
        return buffers

    def _bind_memory(self, buffers: list[Buffer]) -> None:
        """Let the runtime read and write keys and values in their place; once while it stays."""
        if len(self._bound) == len(buffers) and all(
            known() is buffer for known, buffer in zip(self._bound, buffers, strict=True)
        ):
            return
        self._bound = [weakref.ref(buffer) for buffer in buffers]
        for index, buffer in enumerate(buffers):
            for name, tensor in (("keys", buffer.keys), ("values", buffer.values)):
                self._binding.bind_input(*_place(f"past_{name}{index}", tensor))
                self._binding.bind_output(*_place(f"{name}{index}", tensor))


def _bias(mask: Tensor) -> Tensor:
    """Additions to attention scores, (rows or 1, 1, new positions, all positions)."""
    if mask.dim() == 4:
        return mask.float()
    hidden = torch.zeros(mask.shape)
    return hidden.masked_fill_(mask == 0, torch.finfo(torch.float32).min)[:, None, None]


def _place(name: str, tensor: Tensor) -> tuple[str, str, int, Any, list[int], int]:
    """What a binding wants to know of memory."""
    return name, "cpu", 0, _TYPES[tensor.dtype], list(tensor.shape), tensor.data_ptr()


def _session(graph: bytes, folder: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Every token has shapes of its own: plans and free memory kept for each would only grow.
    options.enable_mem_pattern = False
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry(_WEIGHTS_FOLDER, str(folder))
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
