"""The local Generator: prompts through the model, token by token, for one request or a batch.

Sampling filters and KV caches are those of transformers. What a request answers depends on nothing
but the request: not on its neighbours in a batch, and not on what is in a cache.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache

from leopard.errors import ConfigError, GenerationError
from leopard.inference.decoding_state import DecodingState
from leopard.inference.disk_store import DiskStore
from leopard.inference.encoders import (
    CropEncoder,
    PreparedRequest,
    RequestEncoder,
    Visuals,
    WholeImageEncoder,
    stop_tokens,
)
from leopard.inference.growing_cache import new_cache
from leopard.inference.memory import PIECES, fit_memory, free_bytes, weight_bytes_of
from leopard.inference.prefix_cache import PrefixCache, prefix_key, prefix_length
from leopard.inference.sampling import Sampler
from leopard.inference.shared_document import SharedState, can_share
from leopard.inference.text_stream import TextStream
from leopard.inference.vision_cache import VisionCache, WeightsFingerprint
from leopard.schema.generation import Generation, GenerationRequest, Timings, Usage

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


@dataclass(slots=True)
class Row:
    """One request on its way to an answer."""

    request: GenerationRequest
    prepared: PreparedRequest
    visuals: Visuals | None
    sampler: Sampler
    stream: TextStream
    timings: Timings
    tokens: list[int] = field(default_factory=list)
    finish_reason: str = ""
    fresh: str = ""
    """Text that became certain in the last step."""
    error: GenerationError | None = None
    """What ended the answer before its time."""

    @property
    def is_finished(self) -> bool:
        """Whether the answer is complete."""
        return bool(self.finish_reason) or self.error is not None

    def generation(self) -> Generation:
        """The finished answer.

        Raises:
            GenerationError: If the model could not give one.
        """
        if self.error is not None:
            raise self.error
        ids = self.prepared.input_ids
        visual = 0
        if self.visuals is not None:
            visual = self.visuals.tokens.shape[0] * self.visuals.tokens.shape[1]
        return Generation(
            text=self.stream.text,
            finish_reason=self.finish_reason,
            usage=Usage(
                prompt_tokens=len(ids),
                visual_tokens=visual,
                crops=self.prepared.num_crops,
                completion_tokens=len(self.tokens),
            ),
            timings=self.timings,
        )


class LocalGenerator:
    """Answers with a model in this process; see `leopard.schema.generation.Generator`.

    Not safe for use from several threads at once.

    Args:
        model: A Leopard model of either kind.
        processor: Its processor.
        name: Name in logs and answers.
        options: Batch and cache sizes.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        name: str = "leopard",
        options: EngineOptions | None = None,
    ) -> None:
        self.model = model.eval()
        self.processor = processor
        self.options = options or EngineOptions()
        self.index = self._open_index()
        self.vision_cache = VisionCache(self.options.vision_cache_bytes, self.index)
        self.prefix_cache = PrefixCache(self.options.prefix_cache_bytes, self.index)
        self._language_weights = WeightsFingerprint(model)
        self._name = name
        self._image_token = model.config.image_token_id
        self.encoder: RequestEncoder = self._make_encoder()
        self.stop_tokens = stop_tokens(model, self.encoder)
        self._forbidden = self._forbidden_tokens()
        self._can_share = can_share(model)
        self._weight_bytes = weight_bytes_of(model)
        self._piece = PIECES[0]

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
        starting = self.starting(request, visuals)
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
            state = self._prefill(rows)
            self._choose(rows, state.logits)
        _note_first_token(rows, begin)
        return state

    def _begin_shared(self, rows: Sequence[Row]) -> SharedState:
        """As `begin`, for rows about one document."""
        begin = time.perf_counter()
        with torch.inference_mode():
            length = self._document_length(rows[0])
            cache = self._document(rows[0], length)
            table = self.model.get_input_embeddings()
            device = table.weight.device
            state = SharedState(cache, length, len(rows), device)
            rest = [torch.tensor(row.prepared.input_ids[length:], device=device) for row in rows]
            state.read(self.model, [table(ids) for ids in rest])
            self._choose(rows, state.logits)
        _note_first_token(rows, begin)
        return state

    def advance(self, rows: Sequence[Row], state: DecodingState | SharedState) -> None:
        """Choose one more token of each row; finished rows stay as they are."""
        begin = time.perf_counter()
        running = [row for row in rows if not row.is_finished]
        with torch.inference_mode():
            if isinstance(state, SharedState):
                self._step_shared(rows, state)
            else:
                self._step(rows, state)
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
        length = self._document_length(row)
        if row.visuals is not None and length:
            with torch.inference_mode():
                self._document(row, length)
        return length

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
        # Weights and pages are in memory already.
        present = self._weight_bytes + 3 * sum(s.width * s.height for s in demand.sizes)
        limit = self.options.memory_bytes
        fitted = fit_memory(
            self.model.config,
            demand,
            limit=free_bytes(weight.device) + present if limit is None else limit,
            weight_bytes=self._weight_bytes,
            value_bytes=weight.element_size(),
        )
        self.encoder.chunk, self._piece = fitted.chunk, fitted.piece

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
        return {self._image_token, *((settings.suppress_tokens or []) if settings else [])}

    def _batches(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Rows about one document together, the others by length, so that little is padded."""
        documents: dict[str, list[Row]] = {}
        for index, row in enumerate(rows):
            documents.setdefault(self._document_key(row) or f"row {index}", []).append(row)
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
        for row in sorted(rows, key=lambda row: len(row.prepared.input_ids)):
            tokens = (len(batch) + 1) * len(row.prepared.input_ids)
            full = len(batch) == self.options.max_batch_size
            if batch and (full or tokens > self.options.max_batch_tokens):
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    # --- Steps -------------------------------------------------------------------------------

    def _prefill(self, rows: Sequence[Row]) -> DecodingState:
        if len(rows) == 1 and self.prefix_cache.max_bytes:
            return self._prefill_one(rows[0])
        longest = max(len(row.prepared.input_ids) for row in rows)
        embeds = [self._embed(row) for row in rows]
        device = embeds[0].device
        padded = torch.zeros(len(rows), longest, embeds[0].shape[-1], dtype=embeds[0].dtype)
        padded = padded.to(device)
        mask = torch.zeros(len(rows), longest, dtype=torch.long, device=device)
        for index, embed in enumerate(embeds):
            padded[index, longest - len(embed) :] = embed
            mask[index, longest - len(embed) :] = 1
        state = DecodingState(mask, new_cache(self.model.config))
        self._forward(state, inputs_embeds=padded)
        return state

    def _prefill_one(self, row: Row) -> DecodingState:
        """The document first, then the question, so that the document can be had from the cache.

        Both are computed apart even when nothing is cached: the arithmetic is then the same.
        """
        embeds = self._embed(row)[None]
        # The last position must be computed in any case: it gives the first token.
        length = min(self._document_length(row), len(row.prepared.input_ids) - 1)
        state = DecodingState(
            torch.ones(1, embeds.shape[1], dtype=torch.long, device=embeds.device),
            new_cache(self.model.config),
        )
        if row.visuals is not None and length > 0:
            state.cache = self._document(row, length)
            embeds = embeds[:, length:]
        self._forward(state, inputs_embeds=embeds)
        return state

    def _document(self, row: Row, length: int) -> DynamicCache:
        """Keys and values of the first positions of a prompt, read or had from the cache."""
        assert row.visuals is not None
        ids = row.prepared.input_ids[:length]
        key = prefix_key(ids, row.visuals.keys, self._prefix_scope())
        entry = self.prefix_cache.find(key, self.model.get_input_embeddings().weight.device)
        if entry is not None:
            return entry.restore()
        embeds = self._embed(row)[None, :length]
        state = DecodingState(
            torch.ones(1, length, dtype=torch.long, device=embeds.device),
            new_cache(self.model.config),
        )
        self._forward(state, inputs_embeds=embeds)
        self.prefix_cache.store(key, state.cache)
        return state.cache

    def _document_length(self, row: Row) -> int:
        return prefix_length(row.prepared.input_ids, self._image_token)

    def _document_key(self, row: Row) -> str:
        """Name of the beginning with all images; empty without one, or with nothing after it."""
        length = self._document_length(row)
        if row.visuals is None or not 0 < length < len(row.prepared.input_ids):
            return ""
        return prefix_key(row.prepared.input_ids[:length], row.visuals.keys, "")

    def _share_document(self, rows: Sequence[Row]) -> bool:
        """Whether rows can be decoded as conversations about one document."""
        if len(rows) < 2 or not self._can_share:
            return False
        length = self._document_length(rows[0])
        positions = length + sum(len(row.prepared.input_ids) - length for row in rows)
        keys = {self._document_key(row) for row in rows}
        return len(keys) == 1 and "" not in keys and positions <= self.options.max_batch_tokens

    def _prefix_scope(self) -> str:
        return f"{self.encoder.scope()} {self._language_fingerprint()}"

    def _language_fingerprint(self) -> str:
        """Changes when the language model is trained on.

        Entries on disk need the weights themselves; in memory their places do, which is quicker.
        """
        if self.index is not None:
            return self._language_weights()
        return str(
            hash(
                tuple(
                    (tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version)
                    for tensor in self.model.parameters()
                )
            )
        )

    def _step(self, rows: Sequence[Row], state: DecodingState) -> None:
        ids = torch.tensor([[row.tokens[-1]] for row in rows], device=state.mask.device)
        state.mask = torch.cat([state.mask, state.mask.new_ones(len(rows), 1)], dim=1)
        self._forward(state, input_ids=ids)

    def _step_shared(self, rows: Sequence[Row], state: SharedState) -> None:
        table = self.model.get_input_embeddings()
        device = table.weight.device
        state.read(
            self.model,
            [
                None if row.is_finished else table(torch.tensor([row.tokens[-1]], device=device))
                for row in rows
            ],
        )

    def _forward(self, state: DecodingState, **inputs: Tensor) -> None:
        """Read new positions, a bounded number at a time where none are padded."""
        (name, given), *_ = inputs.items()
        left = given.shape[1]
        for part in [given] if state.is_padded else given.split(self._piece, dim=1):
            left -= part.shape[1]
            self._forward_part(state, left, **{name: part})

    def _forward_part(self, state: DecodingState, left: int, **inputs: Tensor) -> None:
        """As `_forward` for some of the new positions, of which `left` are still to come."""
        mask = state.mask
        length = next(iter(inputs.values())).shape[1]
        if state.is_padded:
            positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -length:]
        else:
            end = state.num_columns - left
            positions = torch.arange(end - length, end, device=mask.device)
            positions = positions.expand(len(mask), -1)
        output = self.model(
            attention_mask=mask if state.is_padded else None,
            position_ids=positions,
            past_key_values=state.cache,
            use_cache=True,
            logits_to_keep=1,
            **inputs,
        )
        state.logits = output.logits[:, -1]

    def _embed(self, row: Row) -> Tensor:
        """Embeddings of a prompt with visual tokens in the place of placeholders, (length, dim)."""
        table = self.model.get_input_embeddings()
        ids = torch.tensor(row.prepared.input_ids, device=table.weight.device)
        embeds: Tensor = table(ids)
        if row.visuals is None:
            return embeds
        features = row.visuals.tokens.to(embeds.device, embeds.dtype).flatten(0, 1)
        places = ids == self._image_token
        assert int(places.sum()) == len(features), "the processor keeps these equal"
        return embeds.masked_scatter(places[:, None], features)

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
            or len(row.prepared.input_ids) + len(row.tokens) >= limit
        ):
            row.finish_reason = "length"


def _note_first_token(rows: Sequence[Row], begin: float) -> None:
    spent = time.perf_counter() - begin
    for row in rows:
        row.timings = replace(row.timings, first_token_s=spent)


@dataclass(slots=True)
class VisualMemo:
    """Visual tokens of one document, kept for its next question."""

    visuals: Visuals | None = None
    layout: Any = None
    scope: str = ""
