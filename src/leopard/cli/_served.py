"""The model that `leopard serve` serves: which engine runs it and how it wants its pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from leopard.errors import ConfigError

if TYPE_CHECKING:
    from leopard.processor.settings import ProcessorSettings
    from leopard.schema.geometry import ImageSize
    from leopard.serving.planning import Planner, PromptPlan
    from leopard.serving.service import ServedModel

ENGINES = ("torch", "onnx", "vllm")
"""Names of what can run a model."""
FAKE = "fake"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelChoice:
    """What the command line says of the model."""

    model: str | None = None
    """Folder, hub name or name of a shipped model; `fake` needs no weights."""
    engine: str | None = None
    """One of `ENGINES`; what suits the weights by default."""
    weights: str | None = None
    """`int8` or `int4` for quantised weights on a CPU."""
    device: str | None = None
    """`cpu`, `cuda` or `mps`; the best there is by default."""
    batch_size: int = 8
    """Most requests answered at once."""
    tensor_parallel: int = 1
    """GPUs that one copy is spread over."""
    processor: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the processor to use instead of the saved ones; None means saved."""

    @property
    def changes(self) -> dict[str, Any]:
        """The settings that are given."""
        return {name: value for name, value in self.processor.items() if value is not None}


def served_model(choice: ModelChoice) -> ServedModel:
    """Load what was chosen.

    Raises:
        ConfigError: If the engine is unknown or cannot do what is asked.
        CheckpointError: If the model cannot be loaded.
    """
    if choice.engine is not None and choice.engine not in ENGINES:
        raise ConfigError(f"engine {choice.engine!r} is unknown; use {', '.join(ENGINES)}")
    if choice.tensor_parallel != 1 and choice.engine != "vllm":
        raise ConfigError(
            f"tensor-parallel is {choice.tensor_parallel}, which only the engine vllm does; give "
            "--engine vllm, too"
        )
    if choice.model == FAKE:
        return _fake(choice)
    return _vllm(choice) if choice.engine == "vllm" else _local(choice)


def _fake(choice: ModelChoice) -> ServedModel:
    from leopard.config import build
    from leopard.documents import LoadOptions
    from leopard.inference.fake import FakeGenerator
    from leopard.processor.settings import ProcessorSettings
    from leopard.serving.service import ServedModel

    settings = build(ProcessorSettings, choice.changes, origin="serve")
    return ServedModel(
        generator=FakeGenerator(capacity=choice.batch_size),
        load_options=LoadOptions(
            crop_size=settings.crop_size,
            max_crops=settings.max_crops,
            max_tiles_per_page=settings.max_tiles_per_image,
            reading_dpi=settings.reading_dpi,
        ),
        planner=tiles_planner(settings),
    )


def _local(choice: ModelChoice) -> ServedModel:
    from leopard.inference.engine import EngineOptions
    from leopard.inference.leopard import Leopard

    leopard = Leopard.from_pretrained(
        choice.model,
        device=choice.device,
        weights=choice.weights,
        engine=choice.engine,
        options=EngineOptions(max_batch_size=choice.batch_size),
        processor_settings=choice.processor,
    )
    return _with_pages(leopard.generator, leopard.processor)


def _vllm(choice: ModelChoice) -> ServedModel:
    if choice.device is not None:
        raise ConfigError(
            f"device is {choice.device!r}, but vLLM takes the device that it was built for; leave "
            "it out"
        )
    if choice.weights is not None:
        raise ConfigError(
            f"weights are {choice.weights!r}, but vLLM takes them as they are stored; leave them "
            "out, or use engine onnx"
        )
    from leopard.inference.vllm.generator import VllmGenerator, VllmOptions

    generator = VllmGenerator(
        choice.model,
        options=VllmOptions(
            max_batch_size=choice.batch_size, tensor_parallel=choice.tensor_parallel
        ),
        processor_settings=choice.changes,
    )
    return _with_pages(generator, generator.processor)


def _with_pages(generator: Any, processor: Any) -> ServedModel:
    from leopard.inference.leopard import page_options
    from leopard.serving.service import ServedModel

    return ServedModel(
        generator=generator,
        load_options=page_options(processor),
        planner=planner_of(processor),
    )


def planner_of(processor: Any) -> Planner:
    """What pages become for a processor of either kind."""
    from leopard.processor import LeopardProcessor
    from leopard.serving.planning import PromptPlan

    if isinstance(processor, LeopardProcessor):
        return tiles_planner(processor.settings)
    tokens = int(processor.image_seq_len)
    return lambda sizes: PromptPlan(None, range(len(sizes)), tokens)


def tiles_planner(settings: ProcessorSettings) -> Planner:
    """What pages become under settings."""
    from leopard.processor.crops import plan_crops
    from leopard.processor.limits import kept_images
    from leopard.serving.planning import PromptPlan

    def plan(sizes: Sequence[ImageSize]) -> PromptPlan:
        kept = kept_images(len(sizes), settings)
        crops = plan_crops(
            [sizes[index] for index in kept],
            geometry=settings.geometry,
            max_crops=settings.max_crops,
            policy=settings.policy,
        )
        return PromptPlan(crops, kept)

    return plan
