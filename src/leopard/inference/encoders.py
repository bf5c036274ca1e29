"""From requests to token ids and visual tokens, for each kind of Leopard model.

Knows processors and vision encoders; knows nothing of decoding.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor

import leopard
from leopard.errors import ContextLengthError
from leopard.inference.ahead import made_ahead
from leopard.inference.memory import Demand
from leopard.inference.vision_cache import (
    VisionCache,
    VisualTokens,
    WeightsFingerprint,
    crop_key,
    page_keys,
)
from leopard.schema.generation import GenerationRequest

VERSIONS = f"leopard {leopard.__version__}, torch {torch.__version__}, {transformers.__version__}"
"""Part of all names of cache entries: what other versions left on disk is not used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedRequest:
    """One request as token ids, pixels not yet encoded."""

    input_ids: list[int]
    """Token ids, images expanded."""
    num_crops: int
    """Inputs of the vision encoder."""
    source: Any
    """What the encoder that prepared it needs to make pixels."""
    layout: Any
    """What the crops follow from; equal layouts of equal images give equal crops."""
    dropped_images: tuple[int, ...] = ()
    """Indices, counted from 0, of images left out because the processor's settings allow it."""
    image_names: tuple[str, ...] = ()
    """Names of the images' content, dropped ones included; empty when unknown."""


@dataclass(frozen=True, slots=True)
class Visuals:
    """Visual tokens of a request, with the names of its crops."""

    tokens: Tensor
    """(num_crops, visual_tokens_per_crop, dim)."""
    keys: tuple[str, ...]
    """Name of each crop, by content."""


class RequestEncoder(Protocol):
    """Turns requests into what the language model reads."""

    @property
    def tokenizer(self) -> Any:
        """Tokenizer of the checkpoint."""
        ...

    @property
    def end_of_turn(self) -> str:
        """Text of the token that ends an answer."""
        ...

    def scope(self) -> str:
        """What else decides the visual tokens, besides pixels: geometry and weights."""
        ...

    def prepare(self, request: GenerationRequest) -> PreparedRequest:
        """Token ids and crop plan of a request.

        Raises:
            LeopardError: If messages, images or lengths do not fit.
        """
        ...

    chunk: int
    """Crops encoded at once."""

    def demand(self, prepared: PreparedRequest, max_new_tokens: int) -> Demand | None:
        """What a request needs of memory; None where that cannot be told."""
        ...

    def looking(self, prepared: PreparedRequest) -> Generator[None, None, Visuals | None]:
        """Encode the images of a request, pausing between chunks; None when it has none."""
        ...


_Seen = tuple[tuple[str, ...], tuple[int, ...], Any, str]
"""Names of images, which of them are left out, their layout, and the scope."""
_MOST_KNOWN = 256
"""Documents whose crops are remembered by name."""
_PAGES_AHEAD = 2
"""Pages that are cut ahead where the tiles of a page are encoded together."""


@dataclass(frozen=True, slots=True)
class _Unit:
    """Crops that are encoded together: one, or those of a page whose tiles are joined."""

    keys: tuple[str, ...]
    pixels: NDArray[np.float32]
    """(crops, 3, side, side)."""
    grid: tuple[int, int]
    """Rows and columns of tiles."""


class CropEncoder:
    """For `LeopardForConditionalGeneration` with `LeopardProcessor`.

    Args:
        model: The model.
        processor: Its processor.
        cache: Visual tokens seen before; without it only one request's crops are compared.
    """

    def __init__(self, model: Any, processor: Any, cache: VisionCache) -> None:
        self._model = model
        self._processor = processor
        self._cache = cache
        self._known: OrderedDict[_Seen, tuple[str, ...]] = OrderedDict()
        self._fingerprint = WeightsFingerprint(model.model.vision_encoder, model.model.connector)
        self.chunk = int(model.config.vision_chunk_size)
        self._joins_tiles = bool(model.config.joins_tiles)

    @property
    def tokenizer(self) -> Any:
        """Tokenizer of the checkpoint."""
        return self._processor.tokenizer

    @property
    def end_of_turn(self) -> str:
        """Text of the token that ends an answer."""
        return str(self._processor.settings.tokens.turn_end)

    def scope(self) -> str:
        """Geometry and weights."""
        return f"{self._model.config.crop_geometry} {self._fingerprint()} {VERSIONS}"

    def prepare(self, request: GenerationRequest) -> PreparedRequest:
        """Token ids and crop plan of a request."""
        prepared = self._processor.prepare(list(request.messages), list(request.images))
        return PreparedRequest(
            input_ids=prepared.prompt.input_ids,
            num_crops=prepared.plan.num_crops,
            source=prepared,
            layout=prepared.plan,
            dropped_images=prepared.dropped_images,
            image_names=request.image_names,
        )

    def demand(self, prepared: PreparedRequest, max_new_tokens: int) -> Demand:
        """What a request needs of memory."""
        sizes = tuple(image.size for image in prepared.layout.images)
        shown = zip(sizes, prepared.source.images, strict=True)
        return Demand(
            sizes=sizes,
            num_crops=prepared.num_crops,
            positions=len(prepared.input_ids) + max_new_tokens,
            undrawn=tuple(size for size, image in shown if not getattr(image, "is_drawn", True)),
        )

    def looking(self, prepared: PreparedRequest) -> Generator[None, None, Visuals | None]:
        """Encode crops that are neither in the cache nor earlier in the same request."""
        if not prepared.num_crops:
            return None
        scope = self.scope()
        seen = (prepared.image_names, prepared.dropped_images, prepared.layout, scope)
        if (remembered := self._remembered(seen)) is not None:
            return remembered
        keys: list[str] = []
        found: dict[str, Tensor] = {}
        waiting: list[_Unit] = []
        ahead = _PAGES_AHEAD if self._joins_tiles else self.chunk
        with closing(made_ahead(self._units(prepared, scope), most=ahead)) as units:
            for unit in units:
                keys += unit.keys
                if unit.keys[0] in found or any(unit.keys == other.keys for other in waiting):
                    continue
                if (entries := self._cached(unit)) is not None:
                    found.update(zip(unit.keys, entries, strict=True))
                    continue
                waiting.append(unit)
                if sum(len(other.keys) for other in waiting) >= self.chunk:
                    found.update(self._encode(waiting))
                    waiting = []
                    yield
        found.update(self._encode(waiting))
        if prepared.image_names:
            self._known[seen] = tuple(keys)
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        # Inference mode belongs to the thread, so it must not last over a pause.
        with torch.inference_mode():
            return Visuals(self._stacked([found[key] for key in keys]), tuple(keys))

    def _stacked(self, tokens: list[Tensor]) -> Tensor:
        device = self._model.get_input_embeddings().weight.device
        return torch.stack([one.to(device) for one in tokens])

    def _remembered(self, seen: _Seen) -> Visuals | None:
        """Visual tokens of images known by name, without cutting them into crops again."""
        keys = self._known.get(seen)
        if keys is None:
            return None
        self._known.move_to_end(seen)
        entries = [self._cache.get(key) for key in keys]
        tokens = [entry.tokens for entry in entries if entry is not None]
        if len(tokens) < len(keys):
            return None
        with torch.inference_mode():
            return Visuals(self._stacked(tokens), keys)

    def _units(self, prepared: PreparedRequest, scope: str) -> Iterator[_Unit]:
        """Crops with their names, in prompt order."""
        source = prepared.source
        cut = self._processor.iter_pixels(source.images, source.plan)
        for image, grid in zip(cut, source.plan.grids, strict=True):
            keys = [crop_key(crop, scope) for crop in image]
            if self._joins_tiles:
                yield _Unit(page_keys(keys, grid), image, grid)
                continue
            for key, crop in zip(keys, image, strict=True):
                yield _Unit((key,), crop[None], (0, 0))

    def _cached(self, unit: _Unit) -> list[Tensor] | None:
        entries = []
        for key in unit.keys:
            if (entry := self._cache.get(key)) is None:
                return None
            entries.append(entry.tokens)
        return entries

    @torch.inference_mode()
    def _encode(self, units: Sequence[_Unit]) -> dict[str, Tensor]:
        if not units:
            return {}
        pixels = torch.from_numpy(np.concatenate([unit.pixels for unit in units]))
        device = self._model.get_input_embeddings().weight.device
        grids = torch.tensor([unit.grid for unit in units])
        tokens = self._model.get_image_features(pixels.to(device), grids=grids).pooler_output
        keys = [key for unit in units for key in unit.keys]
        found = dict(zip(keys, tokens.unbind(), strict=True))
        for key, value in found.items():
            # A slice would keep the whole chunk in memory.
            self._cache.put(key, VisualTokens(value.clone()))
        return found


class WholeImageEncoder:
    """For Leopard-Idefics2, which encodes the images of a request together.

    Args:
        model: The model.
        processor: Its processor.
        cache: Visual tokens seen before.
    """

    def __init__(self, model: Any, processor: Any, cache: VisionCache) -> None:
        self._model = model
        self._processor = processor
        self._cache = cache
        self._fingerprint = WeightsFingerprint(model.model.vision_model, model.model.connector)
        self.chunk = 1

    @property
    def tokenizer(self) -> Any:
        """Tokenizer of the checkpoint."""
        return self._processor.tokenizer

    @property
    def end_of_turn(self) -> str:
        """Text of the token that ends an answer."""
        return "<end_of_utterance>"

    def scope(self) -> str:
        """Weights; the geometry is in the pixels' shape."""
        return f"{self._fingerprint()} {VERSIONS}"

    def prepare(self, request: GenerationRequest) -> PreparedRequest:
        """Token ids and padded pixels of a request."""
        text = self._processor.render(request.messages)
        inputs = self._processor(text=text, images=list(request.images))
        ids = inputs["input_ids"][0].tolist()
        limit = self._model.config.text_config.max_position_embeddings
        if len(ids) > limit:
            raise ContextLengthError(
                f"the prompt takes {len(ids)} tokens, {len(ids) - limit} more than the limit of "
                f"{limit}; shorten the text or choose fewer pages"
            )
        return PreparedRequest(
            input_ids=ids,
            num_crops=len(request.images),
            source=inputs,
            layout=tuple(image.size for image in request.images),
        )

    def demand(self, prepared: PreparedRequest, max_new_tokens: int) -> None:
        """Unknown: images of a batch are padded to each other."""

    def looking(self, prepared: PreparedRequest) -> Generator[None, None, Visuals | None]:
        """Encode the images; the padding they share makes them one unit for the cache."""
        yield
        return self._look(prepared) if prepared.num_crops else None

    @torch.inference_mode()
    def _look(self, prepared: PreparedRequest) -> Visuals:
        pixels = prepared.source["pixel_values"]
        mask = prepared.source["pixel_attention_mask"]
        key = crop_key(pixels.numpy(), f"{self.scope()} {tuple(mask.sum((-1, -2))[0].tolist())}")
        entry = self._cache.get(key)
        if entry is None:
            device = self._model.get_input_embeddings().weight.device
            features = self._model.model.get_image_features(pixels.to(device), mask.to(device))
            entry = VisualTokens(features.pooler_output.clone())
            self._cache.put(key, entry)
        return Visuals(entry.tokens, (key,))


def stop_tokens(model: Any, encoder: RequestEncoder) -> frozenset[int]:
    """Ids that end an answer: those of the checkpoint's settings and of its tokenizer."""
    settings = model.generation_config
    eos = settings.eos_token_id if settings is not None else None
    return end_tokens(eos, model.config, encoder.tokenizer, encoder.end_of_turn)


def end_tokens(eos: Any, config: Any, tokenizer: Any, end_of_turn: str) -> frozenset[int]:
    """As `stop_tokens`, from their sources.

    Args:
        eos: One id, several, or None: those of the generation settings.
        config: The model's configuration.
        tokenizer: Tokenizer of the checkpoint.
        end_of_turn: Text of the token that ends a turn.
    """
    stops: set[int] = set()
    for known in (eos, config.text_config.eos_token_id, tokenizer.eos_token_id):
        stops.update(known if isinstance(known, Sequence) else [] if known is None else [known])
    turn_end = tokenizer.convert_tokens_to_ids(end_of_turn)
    if isinstance(turn_end, int) and turn_end != tokenizer.unk_token_id:
        stops.add(turn_end)
    return frozenset(stops)
