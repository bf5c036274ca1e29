"""The local Generator: prompts through the model, token by token, for one request or a batch.

Sampling filters and KV caches are those of transformers. What a request answers depends on nothing
but the request: not on its neighbours in a batch, and not on what is in a cache.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from leopard.errors import ConfigError, GenerationError
from leopard.inference.decoders import Decoder, TorchDecoder
from leopard.inference.decoding_state import DecodingState
from leopard.inference.disk_store import DiskStore
from leopard.inference.encoders import (
    CropEncoder,
    PreparedRequest,
    RequestEncoder,
    WholeImageEncoder,
    stop_tokens,
)
from leopard.inference.memory import fit_memory, free_bytes, page_bytes, weight_bytes_of
from leopard.inference.prefix_cache import PrefixCache
from leopard.inference.reading import PromptReader
from leopard.inference.row import Row, VisualMemo
from leopard.inference.sampling import Sampler
from leopard.inference.shared_document import SharedState
from leopard.inference.text_stream import TextStream
from leopard.inference.vision_cache import VisionCache
from leopard.schema.generation import Generation, GenerationRequest, Timings

if TYPE_CHECKING:
    from leopard.inference.running_batch import LocalBatch


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineOptions:
    """How much the engine keeps and does at once."""

    max_batch_size: int = 8
    """Most requests that are decoded together."""
    max_batch_tokens: int = 32768
    """Most prompt positions of a batch, padding included; a longer prompt goes alone."""
    vision_cache_bytes: int = 512 * 2**20
    """Most bytes of visual tokens kept for later; 0 keeps none."""
    prefix_cache_bytes: int = 1024 * 2**20
    """Most bytes of keys and values of documents kept for later questions; 0 keeps none."""
    memory_bytes: int | None = None
    """Most bytes for weights and one answer; what is free on the device by default."""
    index: Path | None = None
    """Folder with cache entries on disk; None uses none."""
    index_writes: bool = False
    """Whether new entries are written to the index; otherwise it is only read."""

    def __post_init__(self) -> None:
        if min(self.max_batch_size, self.max_batch_tokens) < 1:
            raise ConfigError(
                f"max_batch_size {self.max_batch_size} and max_batch_tokens "
                f"{self.max_batch_tokens} must be at least 1"
            )


class LocalGenerator:
    """Answers with a model in this process; see `leopard.schema.generation.Generator`.

    Not safe for use from several threads at once.

    Args:
        model: A Leopard model of either kind.
        processor: Its processor.
        name: Name in logs and answers.
        options: Batch and cache sizes.
        decoder: What computes the language model; torch by default.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        name: str = "leopard",
        options: EngineOptions | None = None,
        decoder: Decoder | None = None,
    ) -> None:
        self.model = model.eval()
        self.processor = processor
        self.options = options or EngineOptions()
        self.index = self._open_index()
        self.vision_cache = VisionCache(self.options.vision_cache_bytes, self.index)
        self.prefix_cache = PrefixCache(self.options.prefix_cache_bytes, self.index)
        self._name = name
        self.decoder: Decoder = TorchDecoder(model) if decoder is None else decoder
        self.encoder: RequestEncoder = self._make_encoder()
        self.reader = PromptReader(
            model,
            self.decoder,
            self.encoder,
            self.prefix_cache,
            is_indexed=self.index is not None,
        )
        self.stop_tokens = stop_tokens(model, self.encoder)
        self._forbidden = self._forbidden_tokens()
        self._weight_bytes = weight_bytes_of(model)

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._name

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Answer several conversations together.

        Args:
            requests: Any number; those about the same document are read and decoded together, the
                others batched by length; each is answered as if it were alone.

        Returns:
            Answers in request order.

        Raises:
            LeopardError: If a request cannot be encoded or answered.
        """
        # Nobody can change a picture during this call, so the same object shows the same.
        memos: dict[tuple[int, ...], VisualMemo] = {}
        rows = []
        for request in requests:
            shown = tuple(id(image) for image in request.images)
            rows.append(self.start(request, memos.setdefault(shown, VisualMemo())))
        self.finish(rows)
        return [row.generation() for row in rows]

    def finish(self, rows: Sequence[Row]) -> None:
        """Decode started rows to their ends, several together."""
        for batch in self._batches(rows):
            for _ in self.run(batch):
                pass

    def stream(self, request: GenerationRequest) -> Iterator[str]:
        """Answer one conversation, yielding text as soon as it is certain.

        The pieces join to the text that `generate` gives.
        """
        row = self.start(request)
        for _ in self.run([row]):
            if row.fresh:
                yield row.fresh
        row.generation()

    def start(
        self,
        request: GenerationRequest,
        visuals: VisualMemo | None = None,
        *,
        watch: Callable[[], None] | None = None,
    ) -> Row:
        """Encode a request: token ids and visual tokens.

        Args:
            request: The request.
            visuals: Visual tokens of the same images from an earlier request; filled when empty.
            watch: Called after every chunk of crops that the vision encoder has seen.

        Raises:
            LeopardError: If messages, images or lengths do not fit.
        """
        # Closed at once when `watch` raises, so that no page is drawn any more.
        with closing(self.starting(request, visuals)) as starting:
            while True:
                try:
                    next(starting)
                except StopIteration as done:
                    row: Row = done.value
                    return row
                if watch is not None:
                    watch()

    def starting(
        self, request: GenerationRequest, visuals: VisualMemo | None = None
    ) -> Generator[None, None, Row]:
        """As `start`, but pauses after every chunk of crops, so that others can be served."""
        begin = time.perf_counter()
        prepared = self.encoder.prepare(request)
        self._fit_memory(prepared, request)
        prepared_at = time.perf_counter()
        memo = visuals or VisualMemo()
        if memo.layout != prepared.layout or memo.scope != self.encoder.scope():
            memo.visuals = yield from self.encoder.looking(prepared)
            memo.layout, memo.scope = prepared.layout, self.encoder.scope()
        return Row(
            request=request,
            prepared=prepared,
            visuals=memo.visuals,
            sampler=Sampler(request.sampling, self._forbidden),
            stream=TextStream(self.encoder.tokenizer, request.sampling.stop),
            timings=Timings(
                preprocess_s=prepared_at - begin, vision_s=time.perf_counter() - prepared_at
            ),
        )

    def run(self, rows: Sequence[Row]) -> Iterator[None]:
        """Decode rows together, one token each per step; yields after every step."""
        state = self._begin_shared(rows) if self._share_document(rows) else self.begin(rows)
        yield
        while not all(row.is_finished for row in rows):
            self.advance(rows, state)
            yield

    def begin(self, rows: Sequence[Row]) -> DecodingState:
        """Read the prompts of started rows and choose the first token of each."""
        begin = time.perf_counter()
        with torch.inference_mode():
            state = self.reader.read(rows)
            self._choose(rows, state.logits)
        _note_first_token(rows, begin)
        return state

    def _begin_shared(self, rows: Sequence[Row]) -> SharedState:
        """As `begin`, for rows about one document."""
        begin = time.perf_counter()
        with torch.inference_mode():
            state = self.reader.read_shared(rows)
            self._choose(rows, state.logits)
        _note_first_token(rows, begin)
        return state

    def advance(self, rows: Sequence[Row], state: DecodingState | SharedState) -> None:
        """Choose one more token of each row; finished rows stay as they are."""
        begin = time.perf_counter()
        running = [row for row in rows if not row.is_finished]
        with torch.inference_mode():
            if isinstance(state, SharedState):
                self.reader.step_shared(rows, state)
            else:
                self.reader.step(rows, state)
            self._choose(rows, state.logits)
        spent = time.perf_counter() - begin
        for row in running:
            row.timings = replace(row.timings, decode_s=row.timings.decode_s + spent)

    def remember(
        self, request: GenerationRequest, *, watch: Callable[[], None] | None = None
    ) -> int:
        """Read a document into the caches, and into the index where that is written to.

        Args:
            request: Any question about the document.
            watch: As in `start`.

        Returns:
            Positions of the prompt that later questions need not read.

        Raises:
            LeopardError: As `start`.
        """
        row = self.start(request, watch=watch)
        with torch.inference_mode():
            return self.reader.remember(row)

    def open_batch(self) -> LocalBatch:
        """A batch that requests join and leave while it runs; one at a time, in one thread."""
        from leopard.inference.running_batch import LocalBatch

        return LocalBatch(self)

    def _fit_memory(self, prepared: PreparedRequest, request: GenerationRequest) -> None:
        """Choose how much is computed at once; refuse what cannot fit, before any work."""
        demand = self.encoder.demand(prepared, request.sampling.max_new_tokens)
        if demand is None:
            return
        weight = self.model.get_input_embeddings().weight
        # Weights are in memory already, and pages that are not drawn while they are encoded.
        drawn = page_bytes(demand.sizes) - page_bytes(demand.undrawn)
        present = self._weight_bytes + drawn
        limit = self.options.memory_bytes
        fitted = fit_memory(
            self.model.config,
            demand,
            limit=free_bytes(weight.device) + present if limit is None else limit,
            weight_bytes=self._weight_bytes,
            value_bytes=weight.element_size(),
            most=self.decoder.most_positions,
        )
        self.encoder.chunk, self.reader.piece = fitted.chunk, fitted.piece

    # --- Set-up ------------------------------------------------------------------------------

    def _open_index(self) -> DiskStore | None:
        folder, writes = self.options.index, self.options.index_writes
        if folder is None or not (writes or folder.is_dir()):
            return None
        return DiskStore(folder, writes=writes)

    def _make_encoder(self) -> RequestEncoder:
        if self.model.config.model_type == "leopard_idefics2":
            return WholeImageEncoder(self.model, self.processor, self.vision_cache)
        return CropEncoder(self.model, self.processor, self.vision_cache)

    def _forbidden_tokens(self) -> set[int]:
        """Placeholders and other tokens that the checkpoint never writes."""
        settings = self.model.generation_config
        return {
            self.model.config.image_token_id,
            *((settings.suppress_tokens or []) if settings else []),
        }

    def _batches(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Rows about one document together, the others by length, so that little is padded."""
        documents: dict[str, list[Row]] = {}
        for index, row in enumerate(rows):
            documents.setdefault(self.reader.document_key(row) or f"row {index}", []).append(row)
        single: list[Row] = []
        for asked in documents.values():
            for start in range(0, len(asked), self.options.max_batch_size):
                together = asked[start : start + self.options.max_batch_size]
                if self._share_document(together):
                    yield together
                else:
                    single += together
        yield from self._batches_by_length(single)

    def _batches_by_length(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        batch: list[Row] = []
        for row in sorted(rows, key=lambda row: len(row.input_ids)):
            tokens = (len(batch) + 1) * len(row.input_ids)
            full = len(batch) == self.options.max_batch_size
            if batch and (full or tokens > self.options.max_batch_tokens):
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    def _share_document(self, rows: Sequence[Row]) -> bool:
        """Whether rows can be decoded as conversations about one document."""
        if len(rows) < 2 or not self.decoder.takes_masks:
            return False
        length = self.reader.document_length(rows[0])
        positions = length + sum(len(row.input_ids) - length for row in rows)
        keys = {self.reader.document_key(row) for row in rows}
        return len(keys) == 1 and "" not in keys and positions <= self.options.max_batch_tokens

    # --- Tokens ------------------------------------------------------------------------------

    def _choose(self, rows: Sequence[Row], logits: Tensor) -> None:
        limit = self.model.config.text_config.max_position_embeddings
        for row, scores in zip(rows, logits, strict=True):
            row.fresh = ""
            if row.is_finished:
                continue
            if not bool(torch.isfinite(scores).any()):
                row.error = GenerationError(
                    f"{self._name}: the model's scores are not numbers; use float32 weights"
                )
                continue
            token = row.sampler.choose(scores)
            row.tokens.append(token)
            if token in self.stop_tokens:
                row.finish_reason = "stop"
            else:
                row.fresh = row.stream.push(token)
                self._check_limits(row, limit)
            if row.is_finished:
                row.fresh += row.stream.finish()

    @staticmethod
    def _check_limits(row: Row, limit: int) -> None:
        if row.stream.stopped:
            row.finish_reason = "stop"
        elif (
            len(row.tokens) >= row.request.sampling.max_new_tokens
            or len(row.input_ids) + len(row.tokens) >= limit
        ):
            row.finish_reason = "length"


def _note_first_token(rows: Sequence[Row], begin: float) -> None:
    spent = time.perf_counter() - begin
    for row in rows:
        row.timings = replace(row.timings, first_token_s=spent)
