"""What the `evaluate` commands share: which model answers, and how it is loaded."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leopard.cli._options import processor_settings
from leopard.errors import ConfigError

if TYPE_CHECKING:
    from leopard.evaluation.encoding import Encoding
    from leopard.evaluation.runner import Subject
    from leopard.schema.generation import Generator

BASELINES = ("random", "majority", "ocr")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which model is asked, and how; hashable, so that a process can keep the last one."""

    model: str | None = None
    policy: str | None = None
    max_crops: int | None = None
    max_tiles: int | None = None
    on_too_many: str | None = None
    server: str | None = None
    server_model: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    concurrency: int = 8
    replay: Path | None = None
    baseline: str | None = None
    batch_size: int = 8


def make_subject(choice: Choice, task: str, data: Path, cache: Any = None) -> Subject:
    """What answers: a model in this process, a server, a log, or a rule.

    Args:
        choice: Which.
        task: Name of the task; rules draw from its answers.
        data: The user's copy of its data.
        cache: Answers of earlier runs, or None.

    Raises:
        ConfigError: If the choice contradicts itself.
    """
    from leopard.evaluation.generators.base import ModelResponder
    from leopard.evaluation.runner import Subject

    _check_choice(choice)
    if choice.replay is not None:
        from leopard.evaluation.generators.replay import ReplayResponder

        return Subject(responder=ReplayResponder(choice.replay))
    if choice.baseline is not None:
        return Subject(responder=_baseline(choice, task, data), cache=cache)
    if choice.server is not None:
        server = _server(choice)
        return Subject(responder=ModelResponder(server, server.fingerprint), cache=cache)
    generator, encoding, fingerprint = _local(choice)
    responder = ModelResponder(generator, fingerprint)
    return Subject(responder=responder, encoding=encoding, cache=cache)


def _check_choice(choice: Choice) -> None:
    given = {"--replay": choice.replay, "--model": choice.model, "--baseline": choice.baseline}
    # A server may read for the OCR baseline, so the two go together.
    if choice.baseline != "ocr":
        given["--server"] = choice.server
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise ConfigError(f"{' and '.join(named)} are given; give one of them")
    if choice.baseline is not None and choice.baseline not in BASELINES:
        raise ConfigError(
            f"baseline {choice.baseline!r} is unknown; use one of {', '.join(BASELINES)}, or "
            "--view for baselines of a model"
        )


def _server(choice: Choice) -> Any:
    from leopard.evaluation.generators.openai_server import OpenAIGenerator, ServerOptions

    if not choice.server_model:
        raise ConfigError("--server needs --server-model, the name the server knows the model by")
    return OpenAIGenerator(
        ServerOptions(
            base_url=str(choice.server),
            model=choice.server_model,
            api_key=os.environ.get(choice.api_key_env, ""),
            concurrency=choice.concurrency,
        )
    )


def _baseline(choice: Choice, task: str, data: Path) -> Any:
    from leopard.evaluation.generators.baselines import MajorityResponder, RandomResponder
    from leopard.evaluation.generators.ocr import OCRResponder, rapid_reader
    from leopard.evaluation.runner import load_samples
    from leopard.evaluation.tasks import get_task

    if choice.baseline == "ocr":
        return OCRResponder(rapid_reader(), _server(choice) if choice.server else None)
    samples = load_samples(get_task(task), data)
    return (RandomResponder if choice.baseline == "random" else MajorityResponder)(samples)


def _local(choice: Choice) -> tuple[Generator, Encoding | None, str]:
    """A model in this process, how it encodes images, and a hash of its weights."""
    from leopard.inference.engine import EngineOptions
    from leopard.inference.loading import load_generator, resolve_model

    settings = {
        **processor_settings(choice.policy, choice.max_crops, choice.on_too_many),
        "max_tiles_per_image": choice.max_tiles,
    }
    generator = load_generator(
        choice.model,
        options=EngineOptions(max_batch_size=choice.batch_size),
        processor_settings=settings,
    )
    origin = Path(resolve_model(choice.model))
    return generator, _encoding(generator.processor), _weights_hash(origin, generator)


def _encoding(processor: Any) -> Encoding | None:
    """How a Leopard processor shares its crops; other processors have no such plan."""
    from leopard.evaluation.encoding import Encoding
    from leopard.processor.settings import ProcessorSettings

    settings = getattr(processor, "settings", None)
    if not isinstance(settings, ProcessorSettings):
        return None
    return Encoding(
        geometry=settings.geometry,
        max_crops=settings.max_crops,
        policy=settings.policy,
        max_tiles_per_image=settings.max_tiles_per_image,
        reading_dpi=settings.reading_dpi,
        layout=settings.layout,
        on_too_many_images=settings.on_too_many_images,
    )


def _weights_hash(folder: Path, generator: Any) -> str:
    """SHA-256 of the checkpoint's files, or of the loaded tensors where there is no folder."""
    digest = hashlib.sha256()
    if folder.is_dir():
        for file in sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")]):
            digest.update(file.name.encode())
            with file.open("rb") as stream:
                while block := stream.read(1 << 22):
                    digest.update(block)
    else:
        for name, tensor in sorted(generator.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
    return digest.hexdigest()
