"""Trained visual tokens per second, against a plain padded loop and the transformers Trainer.

All three train the same model from the same weights on the same samples: 0 to 8 images and answers
of mixed length, batch by batch. The samples are encoded before the clock starts; what is measured
is training. The share is that of the matmul rate measured on this machine in float32, counting
each position once: padding earns nothing.

Run: python benchmarks/bench_training.py [--steps N] [--threads N] [--cpu-time] [--json FILE]
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw

from leopard.inference.loading import SHIPPED_MODELS, load_processor
from leopard.model import LeopardConfig
from leopard.model.dummy import build_dummy
from leopard.processor.collate import pad_examples
from leopard.schema.geometry import ImageSize
from leopard.schema.messages import ImagePart, Message, TextPart
from leopard.training import attention
from leopard.training.encoding import Measure, SampleEncoder
from leopard.training.estimate import Load, Machine, estimate
from leopard.training.feed import FeedState, StepPlan
from leopard.training.parts import Updater, freeze
from leopard.training.passes import Pick, plan_passes
from leopard.training.settings import TrainSettings
from leopard.training.sources import Record
from leopard.training.stepping import Stepper
from leopard.training.world import World

NANO = SHIPPED_MODELS / "leopard-nano"
BATCH = 8


def make_record(number: int) -> tuple[Record, list[Image.Image]]:
    """A sample with 0 to 8 pages and an answer of 5 to 300 characters; few are long."""
    rng = random.Random(number)
    num_images = rng.choice([0, 0, 1, 1, 1, 2, 2, 6])
    sizes = [rng.choice([(364, 364), (600, 780), (728, 364)]) for _ in range(num_images)]
    images = []
    for size in sizes:
        image = Image.new("RGB", size, "white")
        ImageDraw.Draw(image).text((20, 20), f"page {number}", fill="black")
        images.append(image)
    answer = "word " * rng.choice([1, 2, 5, 60])
    messages = (
        Message("user", (*[ImagePart()] * num_images, TextPart("What is written here?"))),
        Message("assistant", (TextPart(answer),)),
    )
    record = Record(
        id=str(number), messages=messages, sizes=tuple(ImageSize(w, h) for w, h in sizes)
    )
    return record, images


def matmul_rate(clock: Callable[[], float]) -> float:
    """FLOP/s of a large float32 product on this machine, the best of five."""
    a, b = torch.randn(1536, 1536), torch.randn(1536, 1536)
    best = float("inf")
    for _ in range(5):
        start = clock()
        a @ b
        best = min(best, clock() - start)
    return 2 * 1536**3 / best


class Workload:
    """Samples, measured and encoded once, and the model they train."""

    def __init__(self, num_samples: int) -> None:
        self.settings = TrainSettings.model_validate(
            {
                "steps": 1,
                "model": {"start": "leopard-nano", "max_crops": 24},
                "optimizer": {"lr": 1e-5, "schedule": "constant", "warmup": 0},
                "batch": {"samples": BATCH, "tokens_per_pass": 6144, "crops_per_pass": 24},
            }
        )
        self.processor = load_processor(str(NANO), settings={"max_crops": 24})
        self.encoder = SampleEncoder(self.processor, 6144, "error", "packed")
        self.config = LeopardConfig.from_pretrained(NANO)
        self.start = build_dummy(self.config)
        freeze(self.start, self.settings)
        self.picks: list[Pick] = []
        self.examples: list[dict[str, Any]] = []
        for row in range(num_samples):
            record, images = make_record(row)
            measure = self.encoder.measure(record)
            assert isinstance(measure, Measure), measure
            self.picks.append(
                Pick(
                    source=0,
                    row=row,
                    num_messages=2,
                    tokens=measure.tokens,
                    crops=measure.crops,
                    learned=measure.learned,
                )
            )
            self.examples.append(self.encoder.encode(record.messages, images))

    def batches(self) -> list[list[int]]:
        """Rows of each step."""
        rows = range(len(self.picks))
        return [list(rows[i : i + BATCH]) for i in range(0, len(rows), BATCH)]

    @property
    def visual_tokens(self) -> int:
        """Visual tokens of all samples."""
        per_crop = self.processor.settings.geometry.visual_tokens_per_crop
        return sum(pick.crops for pick in self.picks) * per_crop

    @property
    def flops(self) -> float:
        """FLOPs that the samples need, padding not counted."""
        tokens = sum(pick.tokens for pick in self.picks)
        count = len(self.picks)
        load = Load(
            tokens_per_sample=tokens / count,
            crops_per_sample=sum(pick.crops for pick in self.picks) / count,
            learned_per_sample=sum(pick.learned for pick in self.picks) / count,
            length=sum(pick.tokens**2 for pick in self.picks) / tokens,
            measured=count,
        )
        found = estimate(self.settings, self.config, Machine(), load, 1)
        return found.flops_per_step * count / BATCH

    def model(self) -> Any:
        """The same weights for everyone."""
        return copy.deepcopy(self.start)


def ours(work: Workload) -> float:
    """Leopard's trainer; returns the loss of the last step."""
    attention.register()
    model = work.model()
    model.model.language_model.set_attn_implementation(attention.NAME)
    stepper = Stepper(model, Updater.build(model, work.settings), work.settings, World())
    loss = 0.0
    for number, rows in enumerate(work.batches()):
        picks = [work.picks[row] for row in rows]
        passes = plan_passes(picks, work.settings.batch)
        plan = StepPlan(step=number, passes=passes, after=FeedState())
        inputs = (
            work.encoder.collate([work.examples[pick.row] for pick in group]) for group in passes[0]
        )
        loss = stepper.run(plan, inputs, factor=1.0).loss
    return loss


def padded_loop(work: Workload) -> float:
    """The loop everyone writes first: pad the batch, model's own loss, step."""
    model = work.model()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-5, weight_decay=0.0)
    loss = torch.zeros(())
    for rows in work.batches():
        batch = pad_examples([work.examples[row] for row in rows], pad_token_id=256)
        del batch["loss_mask"], batch["num_crops"]
        loss = model(**batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return float(loss.detach())


def transformers_trainer(work: Workload) -> float:
    """The Trainer of transformers with the same padding collator."""
    from transformers import PrinterCallback, Trainer, TrainingArguments

    def collate(examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = pad_examples(examples, pad_token_id=256)
        return {k: v for k, v in batch.items() if k not in ("loss_mask", "num_crops")}

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=BATCH,
            num_train_epochs=1,
            learning_rate=1e-5,
            lr_scheduler_type="constant",
            logging_strategy="no",
            save_strategy="no",
            report_to=[],
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            disable_tqdm=True,
            use_cpu=True,
            train_sampling_strategy="sequential",
        )
        trainer = Trainer(
            model=work.model(), args=arguments, train_dataset=work.examples, data_collator=collate
        )
        trainer.remove_callback(PrinterCallback)
        return float(trainer.train().training_loss)


def measure(work: Workload, clock: Callable[[], float]) -> dict[str, dict[str, float]]:
    """Rates of all three, each after a short warm-up."""
    runs: dict[str, Callable[[Workload], float]] = {
        "leopard": ours,
        "padded loop": padded_loop,
        "transformers Trainer": transformers_trainer,
    }
    short = Workload(2)
    rate = matmul_rate(clock)
    found = {}
    for name, run in runs.items():
        run(short)
        start = clock()
        loss = run(work)
        seconds = clock() - start
        found[name] = {
            "seconds": seconds,
            "visual_tokens_per_s": work.visual_tokens / seconds,
            "share_of_matmul_rate": work.flops / seconds / rate,
            "last_loss": loss,
        }
    found["matmul"] = {"gflops_per_s": rate / 1e9}
    return found


def _cpu_seconds(threads: int) -> float:
    return time.process_time() / threads


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="count processor time, on a machine that is busy with other work",
    )
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    work = Workload(arguments.steps * BATCH)
    clock = time.perf_counter
    if arguments.cpu_time:
        clock = partial(_cpu_seconds, arguments.threads)
    found = measure(work, clock)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))
    tokens = sorted(pick.tokens for pick in work.picks)
    print(
        f"{len(tokens)} samples of {tokens[0]} to {tokens[-1]} tokens, {work.visual_tokens} visual "
        f"tokens, {arguments.threads} threads, matmul {found['matmul']['gflops_per_s']:.0f} GFLOP/s"
    )
    own = found["leopard"]["visual_tokens_per_s"]
    for name, values in found.items():
        if name == "matmul":
            continue
        rate = values["visual_tokens_per_s"]
        print(
            f"{name:22} {rate:8.0f} visual tokens/s  {values['share_of_matmul_rate']:6.1%} of "
            f"matmul  leopard is {own / rate:.2f} x"
        )


if __name__ == "__main__":
    main()
