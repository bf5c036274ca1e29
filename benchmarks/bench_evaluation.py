"""Samples per second of an evaluation: batches, shared documents and prefixes, against one by one.

The set is mixed: documents of 2 to 6 drawn pages with four questions each, and single pages with
one. "One by one" is the same model asked a sample at a time with nothing kept between samples. The
answers of both must be the same. Rates are per second and per CPU-second; the latter hold on a busy
computer. Works with any `Generator` through `measure`.
Run: python benchmarks/bench_evaluation.py [--model FOLDER] [--documents N] [--json]
"""

from __future__ import annotations

import argparse
import io
import json
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from leopard.evaluation.generators.base import ModelResponder
from leopard.evaluation.records import read_records
from leopard.evaluation.runner import RunSettings, Subject, run
from leopard.evaluation.tasks import get_task
from leopard.schema.generation import Generator

QUESTIONS = (
    "What is the total amount?",
    "Who signed the document?",
    "Which year is given at the top?",
    "How many items are listed?",
)


def write_set(root: Path, num_documents: int, seed: int = 0) -> int:
    """A mixed set in the format of MP-DocVQA; returns how many questions it holds."""
    draw_number = random.Random(seed)
    (root / "images").mkdir(parents=True)
    rows = []
    for doc in range(num_documents):
        pages = 1 if doc % 3 == 0 else draw_number.randint(2, 6)
        for page in range(pages):
            (root / f"images/d{doc}_p{page}.jpg").write_bytes(_page(doc, page, draw_number))
        for number in range(1 if pages == 1 else len(QUESTIONS)):
            rows.append(
                {
                    "questionId": len(rows),
                    "question": QUESTIONS[number],
                    "doc_id": f"d{doc}",
                    "answers": [str(doc)],
                    "page_ids": [f"d{doc}_p{page}" for page in range(pages)],
                    "answer_page_idx": 0,
                }
            )
    (root / "val.json").write_text(json.dumps({"data": rows}))
    return len(rows)


def _page(doc: int, page: int, draw_number: random.Random) -> bytes:
    image = Image.new("RGB", (850, 1100), "white")
    pen = ImageDraw.Draw(image)
    for line in range(24):
        words = " ".join(str(draw_number.randint(10, 99999)) for _ in range(8))
        pen.text((60, 60 + 40 * line), f"{doc}.{page}.{line}  {words}", fill="black")
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG")
    return buffer.getvalue()


@dataclass(frozen=True)
class Measured:
    """A whole run after loading."""

    seconds: float
    cpu_seconds: float
    answers: list[str]


def measure(
    make: Callable[[], Generator], data: Path, out: Path, batch_size: int, max_new_tokens: int
) -> Measured:
    """Time a whole run after loading."""
    generator = make()
    settings = RunSettings(batch_size=batch_size, max_new_tokens=max_new_tokens)
    start, cpu = time.perf_counter(), time.process_time()
    run(get_task("mpdocvqa"), data, Subject(responder=ModelResponder(generator)), out, settings)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    records = read_records(out)
    errors = [record["error"] for record in records if record["error"]]
    if errors:
        raise SystemExit(f"{len(errors)} samples failed, first: {errors[0]}")
    return Measured(seconds, cpu_seconds, [record["raw"] for record in records])


def _makers(
    model: str | None, max_batch_size: int
) -> tuple[Callable[[], Generator], Callable[[], Generator]]:
    from leopard.inference.engine import EngineOptions
    from leopard.inference.loading import load_generator

    bare = EngineOptions(max_batch_size=1, vision_cache_bytes=0, prefix_cache_bytes=0)
    full = EngineOptions(max_batch_size=max_batch_size)
    settings = {"on_too_many_images": "first"}
    return (
        lambda: load_generator(model, options=bare, processor_settings=settings),
        lambda: load_generator(model, options=full, processor_settings=settings),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="folder or name; default: the shipped model")
    parser.add_argument("--documents", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--max-new-tokens", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    one_by_one, batched = _makers(args.model, args.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        count = write_set(root / "data", args.documents)
        slow = measure(one_by_one, root / "data", root / "a", 1, args.max_new_tokens)
        fast = measure(batched, root / "data", root / "b", args.batch_size, args.max_new_tokens)
    pairs = zip(slow.answers, fast.answers, strict=True)
    figures = {
        "samples": count,
        "one_by_one_per_s": count / slow.seconds,
        "batched_per_s": count / fast.seconds,
        "one_by_one_per_cpu_s": count / slow.cpu_seconds,
        "batched_per_cpu_s": count / fast.cpu_seconds,
        "speedup": slow.seconds / fast.seconds,
        "cpu_speedup": slow.cpu_seconds / fast.cpu_seconds,
        "same_answers": sum(a == b for a, b in pairs),
    }
    if args.json:
        print(json.dumps(figures))
        return
    print(f"{count} samples; same answers: {figures['same_answers']} of {count}")
    print("                                     per s   per CPU-s")
    for what, run_time in (("one by one", slow), ("documents read once, batches", fast)):
        rates = count / run_time.seconds, count / run_time.cpu_seconds
        print(f"{what:32}  {rates[0]:8.2f}  {rates[1]:10.2f}")
    print(f"{'speed-up':32}  {figures['speedup']:7.2f}x  {figures['cpu_speedup']:9.2f}x")


if __name__ == "__main__":
    main()
