"""The trainer: sets a run up, goes on where it stopped, and leaves a model behind.

One trainer runs every stage; what differs is in `leopard.training.settings`. Puts the parts of this
package together.
"""

from __future__ import annotations

import gc
import json
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import leopard
from leopard.documents import LoadOptions
from leopard.errors import CheckpointError, ConfigError, TrainingError
from leopard.inference.leopard import IDEFICS2_DPI, IDEFICS2_SIDE
from leopard.inference.loading import load_processor, resolve_model
from leopard.model.weights import checkpoint_config, find_kind
from leopard.schema.files import write_text_atomically
from leopard.training import attention
from leopard.training.checkpoint import CheckpointStore, disk_errors, replace_folder
from leopard.training.drawing import draw_clean
from leopard.training.encoding import SampleEncoder
from leopard.training.feed import BAD_IMAGE, Feed, FeedState, StepPlan, StepPlanner
from leopard.training.parts import (
    Updater,
    freeze,
    language_layers,
    load_start,
    merge_adapters,
    moving_buffers,
    part_modules,
    start_dtype,
    trained_parameters,
)
from leopard.training.predictions import Predictor
from leopard.training.reports import RunLog, StepReport
from leopard.training.schedule import lr_factor
from leopard.training.settings import TrainSettings, differences
from leopard.training.sources import PageDrawer, Source, open_source
from leopard.training.stepping import Stepper, StepSums
from leopard.training.whole_images import WholeImageEncoder
from leopard.training.world import World, full_tensor, join_world, leave_world, shard_model

SETTINGS_FILE = "settings.json"
MODEL_FOLDER = "model"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    """How a run ended."""

    steps: int
    """Steps that are done."""
    total: int
    """Steps that the run is to do."""
    loss: float | None
    """Loss of the last step, None where nothing was left to do."""
    model: Path | None
    """Folder of the finished model; None where the run was asked to stop before its end."""
    left_out: dict[str, int]
    """Reason -> samples left out or shortened."""


def train(
    settings: TrainSettings, *, draw: PageDrawer = draw_clean, restart: bool = False
) -> RunResult:
    """Train, or go on with a run that was stopped.

    Under torchrun every process calls this alike. A run that SIGTERM or Ctrl-C asks to stop ends
    after the step with a checkpoint.

    Args:
        settings: The run.
        draw: Draws pages of vector shards.
        restart: Delete what the run folder holds of an earlier run, and begin again.

    Raises:
        ConfigError: If settings contradict one another, the machine or the run in the folder.
        DataError: If there is no data.
        CheckpointError: If the start or all checkpoints are unusable.
        TrainingError: If the run cannot go on.
    """
    world = join_world(settings.model.device)
    try:
        return Trainer(settings, world, draw=draw, restart=restart).run()
    finally:
        leave_world()


def open_encoder(settings: TrainSettings, *, fill_images: bool = False) -> SampleEncoder:
    """The processor of the model to train, with the crop budget and policy of the run.

    Args:
        settings: The run.
        fill_images: Whether passes without images get a blank one.

    Raises:
        ConfigError: If a sample's crop budget does not fit one pass.
    """
    wanted = {"max_crops": settings.model.max_crops, "policy": settings.model.policy}
    start = resolve_model(settings.model.start)
    most = settings.batch.crops_per_pass
    common = (settings.data.max_length, settings.data.overlong, settings.batch.layout, fill_images)
    values = checkpoint_config(start)
    if find_kind(values.get("model_type"), start).name == "leopard_idefics2":
        _refuse_for_whole_images(settings)
        images = min(most, settings.model.max_crops or most)
        return WholeImageEncoder(load_processor(start), *common, max_images=images)
    processor = load_processor(start, settings=wanted)
    if processor.settings.max_crops > most:
        raise ConfigError(
            f"batch.crops_per_pass is {most}, but a sample may take {processor.settings.max_crops} "
            f"crops; raise it, or set model.max_crops={most}"
        )
    return SampleEncoder(processor, *common)


def _refuse_for_whole_images(settings: TrainSettings) -> None:
    for name, is_wrong, instead in (
        ("model.policy", settings.model.policy is not None, "leave it out"),
        ("batch.layout=padded", settings.batch.layout == "padded", "use packed"),
    ):
        if is_wrong:
            raise ConfigError(
                f"{name} is not for models of whole images (Leopard-Idefics2); {instead}"
            )


def open_sources(
    settings: TrainSettings, encoder: SampleEncoder, draw: PageDrawer = draw_clean
) -> list[Source]:
    """The sources of a run, in the order of its settings.

    Raises:
        ConfigError: If there is none.
        DataError: If one is not there.
    """
    if not settings.data.sources:
        raise ConfigError(
            "data.sources is empty; name shards or a .jsonl list: "
            "--set 'data.sources=[{path=\"data/shards\"}]'"
        )
    if isinstance(encoder, WholeImageEncoder):
        options = LoadOptions(target_dpi=IDEFICS2_DPI, max_side_px=2 * IDEFICS2_SIDE)
    else:
        own = encoder.processor.settings
        options = LoadOptions(
            crop_size=own.crop_size,
            max_crops=own.max_crops,
            max_tiles_per_page=own.max_tiles_per_image,
            reading_dpi=own.reading_dpi,
        )
    return [
        open_source(source.path, split=source.split, draw=draw, options=options)
        for source in settings.data.sources
    ]


class Trainer:
    """One run in one process of its world.

    Args:
        settings: The run.
        world: The processes.
        draw: Draws pages of vector shards.
        restart: Whether to begin again.
    """

    def __init__(
        self,
        settings: TrainSettings,
        world: World,
        *,
        draw: PageDrawer = draw_clean,
        restart: bool = False,
    ) -> None:
        self.settings = settings
        self.world = world
        self._check_world()
        self.encoder = open_encoder(settings, fill_images=world.size > 1)
        self.sources = open_sources(settings, self.encoder, draw)
        self._claim_folder(restart)
        self.store = CheckpointStore(
            settings.out / "checkpoints", world, keep=settings.checkpoints.keep
        )
        self.model = self._open_model()
        self.updater = Updater.build(self.model, settings)
        self.notes: list[str] = []
        self.done, self.feed_state, self._bad_images = self._resume()
        self._stop = False

    # --- Setting up --------------------------------------------------------------------------

    def _check_world(self) -> None:
        settings = self.settings
        if self.world.size == 1:
            return
        for name, is_wrong, instead in (
            ("optimizer.name=muon", settings.optimizer.name == "muon", "adamw"),
            ("model.batch_norm=updated", settings.model.batch_norm == "updated", "fixed"),
            ("report.predictions_every", settings.report.predictions_every > 0, "0"),
        ):
            if is_wrong:
                raise ConfigError(
                    f"{name} needs a single process, and there are {self.world.size}; use {instead}"
                )

    def _claim_folder(self, restart: bool) -> None:
        """Make the run folder ours, or say whose it is."""
        out, problem = self.settings.out, ""
        if self.world.is_main:
            if restart:
                shutil.rmtree(out, ignore_errors=True)
            problem = self._other_run(out)
            if not problem:
                out.mkdir(parents=True, exist_ok=True)
                values = self.settings.model_dump(mode="json")
                write_text_atomically(out / SETTINGS_FILE, json.dumps(values, indent=1) + "\n")
        problem = self.world.gather(problem)[0]
        if problem:
            raise ConfigError(problem)

    def _other_run(self, out: Path) -> str:
        path = out / SETTINGS_FILE
        if not path.exists():
            return ""
        try:
            before = TrainSettings.model_validate_json(path.read_text(encoding="utf-8"))
        except ValueError:
            return f"{path} cannot be read; give another out, or begin again with --restart"
        found = differences(before, self.settings)
        if not found:
            return ""
        return (
            f"{out} holds a run with other settings ({'; '.join(found)}); give another out, the "
            "same settings to go on, or begin again with --restart"
        )

    def _open_model(self) -> Any:
        attention.register()
        settings = self.settings
        dtype = torch.float32 if self.world.size == 1 else "auto"
        model = load_start(settings, dtype)
        freeze(model, settings)
        wanted = settings.model.attention
        name = attention.NAME if wanted == "segments" else wanted
        language: Any = part_modules(model)["language_model"][0]
        language.set_attn_implementation(name)
        self._bfloat16 = use_bfloat16(settings, self.world.device)
        if self.world.size > 1:
            shard_model(model, language_layers(model), self.world, bfloat16=self._bfloat16)
        return model.to(self.world.device, torch.float32)

    def _resume(self) -> tuple[int, FeedState, int]:
        found = self.store.newest()
        if found is None:
            return 0, FeedState(), 0
        self.notes += [f"damaged checkpoint passed over: {text}" for text in found.damaged]
        state = found.state
        if state["identity"] != self.settings.identity:
            raise CheckpointError(
                f"{found.folder} is of a run with other settings; begin again with --restart"
            )
        self.updater.create_state(state["optimizer"])
        self.store.load(found.folder, self._tensors())
        feed = FeedState(drawn=tuple(state["drawn"]), counts=state["counts"])
        self.notes.append(f"going on after step {state['step']}")
        return int(state["step"]), feed, int(state["bad_images"])

    def _tensors(self) -> dict[str, Tensor]:
        """All that a checkpoint holds, by name."""
        weights = {name: p.detach() for name, p in trained_parameters(self.model).items()}
        return {
            **{f"model.{name}": tensor for name, tensor in weights.items()},
            **{f"buffer.{k}": v for k, v in moving_buffers(self.model, self.settings).items()},
            **{f"optimizer.{k}": v for k, v in self.updater.state_tensors().items()},
        }

    # --- Running -----------------------------------------------------------------------------

    def run(self) -> RunResult:
        """Run to the end, or until asked to stop."""
        planner = StepPlanner(
            self.sources, self.encoder, self.settings, world=self.world.size, state=self.feed_state
        )
        total = planner.total_steps
        log = self._open_log(total)
        loss: float | None = None
        try:
            with self._stop_signals():
                for report in self._steps(planner, total):
                    loss = report.loss
                    if log is not None:
                        with disk_errors(self.settings.out):
                            log.add(report)
                    self._after_step(log, total)
                    if self._stop:
                        break
        finally:
            if log is not None:
                log.close()
        folder = self._export() if self.done >= total else None
        return RunResult(
            steps=self.done, total=total, loss=loss, model=folder, left_out=self._left_out()
        )

    def _open_log(self, total: int) -> RunLog | None:
        if not self.world.is_main:
            return None
        log = RunLog(self.settings.out, self.settings.report, total=total, start=self.done)
        for note in self.notes:
            log.note(note)
        return log

    def _steps(self, planner: StepPlanner, total: int) -> Iterator[StepReport]:
        stepper = Stepper(self.model, self.updater, self.settings, self.world, self._bfloat16)
        steps = range(self.done, total)
        mark = time.perf_counter()
        for plan, passes in Feed(planner, self.settings, steps, rank=self.world.rank):
            factor = lr_factor(self.settings.optimizer, plan.step, total)
            wait_s = time.perf_counter() - mark
            sums = stepper.run(plan, passes, factor=factor, stop=self._stop)
            self._stop = sums.wants_stop
            self.done, self.feed_state = plan.step + 1, plan.after
            self._bad_images += sums.failed
            seconds = time.perf_counter() - mark
            yield self._report(plan, sums, seconds, wait_s + sums.wait_s)
            mark = time.perf_counter()

    def _report(self, plan: StepPlan, sums: StepSums, seconds: float, wait_s: float) -> StepReport:
        crops = sum(pick.crops for pick in plan.picks)
        return StepReport(
            step=self.done,
            loss=sums.loss,
            grad_norm=sums.grad_norm,
            lr=self.updater.rates(),
            samples=sums.samples,
            passes=len(plan.passes[0]),
            tokens=sum(pick.tokens for pick in plan.picks),
            visual_tokens=crops * self.encoder.visual_tokens_per_crop,
            crops=crops,
            learned=sums.learned,
            seconds=round(seconds, 4),
            wait_s=round(wait_s, 4),
            left_out=self._left_out(),
        )

    def _left_out(self) -> dict[str, int]:
        bad = {BAD_IMAGE: self._bad_images} if self._bad_images else {}
        return {**self.feed_state.counts, **bad}

    def _after_step(self, log: RunLog | None, total: int) -> None:
        report = self.settings.report
        is_last = self.done == total
        if report.predictions_every and (self.done % report.predictions_every == 0 or is_last):
            with disk_errors(self.settings.out):
                Predictor(self.model, self.encoder, self.sources, self.settings).write(self.done)
        if is_last or self._stop or self.done % self.settings.checkpoints.every_steps == 0:
            self._save()
            if log is not None:
                log.draw()

    def _save(self) -> None:
        state = {
            "step": self.done,
            "identity": self.settings.identity,
            "drawn": list(self.feed_state.drawn),
            "counts": self.feed_state.counts,
            "bad_images": self._bad_images,
            "optimizer": self.updater.state_keys(),
            "processes": self.world.size,
            "leopard": leopard.__version__,
        }
        self.store.save(self.done, self._tensors(), state)

    @contextmanager
    def _stop_signals(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C end the run after the step; a second one ends it at once."""
        before: dict[int, Any] = {}

        def ask(number: int, _frame: Any) -> None:
            self._stop = True
            signal.signal(number, before[number])

        with suppress(ValueError):  # not in the main thread, where signals do not come
            for number in _STOP_SIGNALS:
                before[number] = signal.signal(number, ask)
        try:
            yield
        finally:
            for caught, handler in before.items():
                signal.signal(caught, handler)

    # --- The finished model ------------------------------------------------------------------

    def _export(self) -> Path:
        """Write the trained model as a folder that `leopard ask --model` takes."""
        target = self.settings.out / MODEL_FOLDER
        weights = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        trained: dict[str, Tensor] = {}
        for name, parameter in weights.items():
            whole = full_tensor(parameter.detach())
            if self.world.is_main:
                trained[name] = whole.cpu()
        buffers = {k: v.cpu() for k, v in moving_buffers(self.model, self.settings).items()}
        if self.world.is_main:
            self._write_model(target, {**trained, **buffers})
        self.world.barrier()
        return target

    def _write_model(self, target: Path, trained: dict[str, Tensor]) -> None:
        model = load_start(self.settings)
        found = model.load_state_dict(trained, strict=False)
        assert not found.unexpected_keys, found.unexpected_keys
        if self.settings.model.lora is not None:
            merge_adapters(model)
        model.to(start_dtype(self.settings))

        def fill(folder: Path) -> None:
            model.save_pretrained(folder)
            self.encoder.processor.save_pretrained(folder)

        replace_folder(target, fill)
        gc.collect()


_STOP_SIGNALS: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT)


def use_bfloat16(settings: TrainSettings, device: torch.device) -> bool:
    """Whether the arithmetic is in bfloat16.

    Raises:
        TrainingError: If it is asked for on a device that has none.
    """
    precision = settings.model.precision
    has_it = device.type == "cuda" and torch.cuda.is_bf16_supported()
    if precision == "auto":
        return has_it
    if precision == "bfloat16" and device.type == "cuda" and not has_it:
        raise TrainingError(f"{device} has no bfloat16; set model.precision=float32")
    return precision == "bfloat16"
