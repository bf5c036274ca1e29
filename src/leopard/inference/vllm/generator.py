"""vLLM as the engine behind Leopard's own server: a `BatchGenerator` over vLLM's engine.

Prompts are encoded here, as the local engine does, so that both see the same token ids. Scheduling,
paged attention, caches and several GPUs are vLLM's.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leopard.errors import ConfigError, ContextLengthError, GenerationError
from leopard.inference.encoders import end_tokens
from leopard.inference.loading import load_processor, pick_device, resolve_model
from leopard.inference.text_stream import TextStream
from leopard.inference.vllm.prompt_images import ImageShare, prompt_images
from leopard.schema.generation import (
    Generation,
    GenerationRequest,
    Progress,
    SamplingOptions,
    Timings,
    Usage,
)
from leopard.schema.geometry import ImageSize

_CPU_CACHE_BYTES = 2 * 2**30
_numbers = itertools.count(1)
"""Names of requests are never used twice, whatever batch they are in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VllmOptions:
    """How vLLM runs."""

    max_batch_size: int = 8
    """Most requests that are decoded together."""
    tensor_parallel: int = 1
    """GPUs that one copy of the model is spread over."""
    dtype: str | None = None
    """Number type of the weights; float32 on a CPU and the checkpoint's elsewhere by default."""
    max_model_len: int | None = None
    """Most positions of a prompt with its answer; the model's own limit by default."""
    cache_bytes: int | None = None
    """Bytes of keys and values; what the GPU has left by default, 2 GiB on a CPU."""

    def __post_init__(self) -> None:
        if min(self.max_batch_size, self.tensor_parallel) < 1:
            raise ConfigError(
                f"max_batch_size {self.max_batch_size} and tensor_parallel {self.tensor_parallel} "
                "must be at least 1"
            )


class VllmGenerator:
    """Answers with vLLM; see `leopard.schema.generation.Generator`. For one thread.

    vLLM changes classes of transformers in its process, so no other model should be loaded there.

    Args:
        folder_or_name: As in `Leopard.from_pretrained`; published folders are converted first.
        options: How vLLM runs.
        processor_settings: Settings to use instead of the saved ones: `policy`, `max_crops`,
            `on_too_many_images`.

    Raises:
        ConfigError: If vLLM is not installed or refuses the settings.
        CheckpointError: If the model is not found.
    """

    def __init__(
        self,
        folder_or_name: str | Path | None = None,
        *,
        options: VllmOptions | None = None,
        processor_settings: Mapping[str, Any] | None = None,
    ) -> None:
        _require_vllm()
        self.options = options or VllmOptions()
        origin = resolve_model(folder_or_name)
        given = dict(processor_settings or {})
        self.processor = load_processor(origin, settings=given)
        self.images = prompt_images(self.processor)
        self._name = Path(origin).name
        self.engine = _start(origin, self.options, self.images.max_images, given)
        self.config = self.engine.model_config.hf_config
        self.stop_tokens = end_tokens(
            self.engine.model_config.try_get_generation_config().get("eos_token_id"),
            self.config,
            self.processor.tokenizer,
            self.images.end_of_turn,
        )

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._name

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Answer several conversations together, in order.

        Raises:
            LeopardError: If a request cannot be encoded or answered.
        """
        batch = self.open_batch()
        for index, request in enumerate(requests):
            batch.join(str(index), request)
        found: dict[str, Progress] = {}
        while len(found) < len(requests):
            found |= {news.key: news for news in batch.step() if news.is_last}
        return [_answer_of(found[str(index)]) for index in range(len(requests))]

    def stream(self, request: GenerationRequest) -> Iterator[str]:
        """Answer one conversation, yielding text as soon as it is certain."""
        batch = self.open_batch()
        batch.join("only", request)
        while len(batch):
            for news in batch.step():
                if news.text:
                    yield news.text
                if news.is_last:
                    _answer_of(news)

    def open_batch(self) -> VllmBatch:
        """A new, empty batch; one at a time."""
        return VllmBatch(self)

    def close(self) -> None:
        """Give memory and processes back."""
        self.engine.engine_core.shutdown()


@dataclass(slots=True)
class _Running:
    """One request in vLLM."""

    number: str
    num_prompt: int
    shares: list[ImageShare]
    stream: TextStream
    begin: float
    tokens: list[int] = field(default_factory=list)
    first_token: float = 0.0

    def generation(self, finish_reason: str) -> Generation:
        now = time.perf_counter()
        first = self.first_token or now
        return Generation(
            text=self.stream.text,
            finish_reason=finish_reason,
            usage=Usage(
                prompt_tokens=self.num_prompt,
                visual_tokens=sum(share.num_visual_tokens for share in self.shares),
                crops=sum(share.num_crops for share in self.shares),
                completion_tokens=len(self.tokens),
            ),
            timings=Timings(first_token_s=first - self.begin, decode_s=now - first),
        )


class VllmBatch:
    """The running batch of a `VllmGenerator`; see `leopard.schema.generation.RunningBatch`."""

    def __init__(self, generator: VllmGenerator) -> None:
        self._generator = generator
        self._engine = generator.engine
        self._running: dict[str, _Running] = {}
        self._failed: list[Progress] = []

    @property
    def capacity(self) -> int:
        """Most requests at a time; more would wait inside vLLM."""
        return self._generator.options.max_batch_size

    def __len__(self) -> int:
        return len(self._running) + len(self._failed)

    def join(self, key: str, request: GenerationRequest) -> None:
        """Add a request; its errors come with `step`."""
        assert key not in self._running, f"{key} is in the batch"
        try:
            self._running[key] = self._add(request)
        except Exception as error:  # noqa: BLE001 - one request's failure is not its neighbours'
            self._failed.append(Progress(key=key, error=error))

    def leave(self, key: str) -> None:
        """Give a request up; unknown names are ignored."""
        self._failed = [news for news in self._failed if news.key != key]
        if (one := self._running.pop(key, None)) is not None:
            self._engine.abort_request([one.number])

    def step(self) -> list[Progress]:
        """One step of vLLM: some prompt positions, or one token of each request."""
        found, self._failed = self._failed, []
        if not self._running:
            return found
        outputs = {output.request_id: output for output in self._engine.step()}
        for key, one in list(self._running.items()):
            output = outputs.get(one.number)
            if output is not None:
                found += self._take(key, one, output.outputs[0])
        return found

    def _add(self, request: GenerationRequest) -> _Running:
        begin = time.perf_counter()
        generator = self._generator
        ids, images = generator.images.encode(request.messages, request.images)
        limit = self._engine.model_config.max_model_len
        if len(ids) >= limit:
            raise ContextLengthError(
                f"the prompt takes {len(ids)} tokens, and with an answer at most {limit} fit; "
                "shorten the text or choose fewer pages"
            )
        shares = generator.images.shares([ImageSize(*image.size) for image in images])
        prompt: dict[str, Any] = {"prompt_token_ids": ids}
        if images:
            prompt["multi_modal_data"] = {"image": images}
        number = f"leopard-{next(_numbers)}"
        self._engine.add_request(number, prompt, _sampling(request.sampling, generator.stop_tokens))
        return _Running(
            number=number,
            num_prompt=len(ids),
            shares=shares,
            stream=TextStream(generator.processor.tokenizer, request.sampling.stop),
            begin=begin,
        )

    def _take(self, key: str, one: _Running, output: Any) -> list[Progress]:
        """What new tokens of one request bring."""
        one.first_token = one.first_token or time.perf_counter()
        text = ""
        for token in output.token_ids:
            one.tokens.append(token)
            if token not in self._generator.stop_tokens:
                text += one.stream.push(token)
            if one.stream.stopped:
                break
        if one.stream.stopped and output.finish_reason is None:
            self._engine.abort_request([one.number])
        reason = "stop" if one.stream.stopped else output.finish_reason
        if reason is None:
            return [Progress(key=key, text=text)] if text else []
        del self._running[key]
        if reason not in ("stop", "length"):
            problem = GenerationError(f"vLLM gave the request up ({reason}); its log says why")
            return [Progress(key=key, text=text, error=problem)]
        text += one.stream.finish()
        return [Progress(key=key, text=text, generation=one.generation(reason))]


def _answer_of(news: Progress) -> Generation:
    if news.error is not None:
        raise news.error
    assert news.generation is not None
    return news.generation


def _sampling(options: SamplingOptions, stop_tokens: frozenset[int]) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        max_tokens=options.max_new_tokens,
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=options.top_k,
        # Seeds of vLLM are 64-bit; greedy requests need none and are faster without.
        seed=options.seed if options.temperature else None,
        stop_token_ids=sorted(stop_tokens),
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
    )


def _require_vllm() -> None:
    if importlib.util.find_spec("vllm") is None:
        raise ConfigError(
            "the engine vllm needs vLLM; run: pip install 'leopard[vllm]', or on a CPU see "
            "docs/vllm.md"
        )


def _start(origin: str, options: VllmOptions, max_images: int, given: Mapping[str, Any]) -> Any:
    # One process for one GPU or a CPU: an interrupt then ends requests and not the engine.
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    from vllm import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    from leopard.inference.vllm import register

    register()
    on_cpu = pick_device().type == "cpu"
    shares = {name: given[name] for name in ("policy", "max_crops") if name in given}
    arguments = EngineArgs(
        model=origin,
        dtype=options.dtype or ("float32" if on_cpu else "auto"),
        max_model_len=options.max_model_len,
        max_num_seqs=options.max_batch_size,
        tensor_parallel_size=options.tensor_parallel,
        enforce_eager=on_cpu,
        kv_cache_memory_bytes=options.cache_bytes or (_CPU_CACHE_BYTES if on_cpu else None),
        limit_mm_per_prompt={"image": max_images},
        mm_processor_kwargs=shares or None,
        disable_log_stats=True,
    )
    try:
        return LLMEngine.from_engine_args(arguments)
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"vLLM cannot start with {origin}: {error}") from error
