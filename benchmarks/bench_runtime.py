"""A question about a 20-page document: plain transformers, Leopard cold, Leopard again.

The plain pipeline is the stock image processor, the same weights, and `generate` with eager
attention. Seconds are CPU seconds to the first token, one thread. Then the cost per page from 1 to
50 pages, and memory against its prediction, each in a process of its own. The part `drawing` has
the wall-clock seconds from a PDF file to visual tokens, its pages drawn before or meanwhile.
Run: python benchmarks/bench_runtime.py [--model leopard-nano|medium] [--pages N] [--part P]
    [--engine torch|onnx]
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from models import cpu_seconds, draw_pages, make_generator, question
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from leopard.inference.engine import LocalGenerator
from leopard.inference.leopard import Leopard
from leopard.inference.memory import PIECES, estimate_memory, give_back, weight_bytes_of
from leopard.inference.row import VisualMemo

MIB = 2**20


def plain_answer(generator: LocalGenerator, pages: list, text: str) -> int:
    """The first token as transformers alone finds it, pixels by its own image processor."""
    from bench_preprocess import stock

    request = question(pages, text)
    prepared = generator.processor.prepare(list(request.messages), pages)
    image_processor = SiglipImageProcessorPil(size={"height": 364, "width": 364}, resample=3)
    pixels = torch.from_numpy(stock(pages, prepared.plan, image_processor))
    ids = torch.tensor([prepared.prompt.input_ids])
    with torch.inference_mode():
        out = generator.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=pixels,
            grids=torch.tensor(prepared.plan.grids),
            max_new_tokens=1,
            do_sample=False,
        )
    return int(out[0, -1])


def questions(name: str, count: int, max_crops: int | None, engine: str) -> None:
    """Cold, again, and plain, on the same weights."""
    pages = draw_pages(count)
    plain = make_generator(name, fast=False, max_crops=max_crops)
    plain.model.set_attn_implementation("eager")
    first: list[int] = []
    theirs = cpu_seconds(lambda: first.append(plain_answer(plain, pages, "What is the total?")))
    ours = make_generator(name, max_crops=max_crops, engine=engine)
    ours.generate([question(pages[:1], "Warm?")])
    ours.vision_cache.clear()
    ours.prefix_cache.clear()
    rows = []
    cold = cpu_seconds(lambda: rows.append(ours.start(question(pages, "What is the total?"))))
    cold += cpu_seconds(lambda: ours.begin([rows[0]]))
    again = cpu_seconds(lambda: rows.append(ours.start(question(pages, "What is the date?"))))
    again += cpu_seconds(lambda: ours.begin([rows[1]]))
    # A session hands on the visual tokens of its document.
    memo = VisualMemo()
    ours.start(question(pages, "Anything?"), memo)
    asked = question(pages, "Which page?")
    session = cpu_seconds(lambda: ours.begin([ours.start(asked, memo)]), 3)
    report(
        case=f"{name}, {count} pages, first token",
        engine=engine,
        crops=rows[0].prepared.num_crops,
        positions=len(rows[0].prepared.input_ids),
        same_token=first[0] == rows[0].tokens[0],
        plain_cpu_s=theirs,
        cold_cpu_s=cold,
        second_cpu_s=again,
        second_in_session_cpu_s=session,
        cold_over_plain=theirs / cold,
        second_over_cold=cold / session,
        second_over_plain=theirs / session,
    )


def per_page(name: str) -> None:
    """Pages of three crops each, so that every page costs the same work in the encoder."""
    generator = make_generator(name)
    for count in (1, 5, 10, 25, 50):
        pages = draw_pages(count)
        generator.vision_cache.clear()
        generator.prefix_cache.clear()
        spent = cpu_seconds(lambda p=pages: generator.start(question(p, "What?")))
        rows = [generator.start(question(pages, "What?"))]
        crops = rows[0].prepared.num_crops
        reading = cpu_seconds(lambda r=rows: generator.begin(r))
        report(
            case=f"{name}, {count} pages",
            crops=crops,
            look_cpu_s_per_crop=spent / crops,
            look_cpu_s_per_page=spent / count,
            read_cpu_ms_per_position=1000 * reading / len(rows[0].prepared.input_ids),
        )


def status_bytes(name: str) -> int:
    """What Linux says of this process's memory."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


def forget_peak() -> int:
    """Give back what is free, begin a new peak; bytes in memory now."""
    gc.collect()
    give_back()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return status_bytes("VmRSS")


def memory(name: str, count: int, engine: str) -> None:
    """Peak of the process above what it had with libraries loaded, against the prediction."""
    torch.nn.functional.linear(torch.ones(64, 64), torch.ones(64, 64))
    make_generator("leopard-nano", engine=engine).generate([question(draw_pages(1), "Warm?")])
    base = forget_peak()
    pages = draw_pages(count)
    generator = make_generator(name, engine=engine)
    request = question(pages, "What is the total?", 8)
    demand = generator.encoder.demand(generator.encoder.prepare(request), 8)
    predicted = estimate_memory(
        generator.model.config,
        demand,
        weight_bytes=weight_bytes_of(generator.model),
        piece=generator.decoder.most_positions or PIECES[0],
    )
    generator.generate([request])
    peak = status_bytes("VmHWM")
    report(
        case=f"{name}, {count} pages, memory",
        engine=engine,
        predicted_mib=predicted.total / MIB,
        measured_mib=(peak - base) / MIB,
        ratio=(peak - base) / predicted.total,
        by_part={key: round(value / MIB) for key, value in predicted.to_dict().items()},
    )


def drawing(name: str, count: int) -> None:
    """Wall-clock time to visual tokens of a PDF file: drawn first, and drawn while encoding."""
    leopard = Leopard(make_generator(name))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pages.pdf"
        path.write_bytes(write_pdf(count))
        seconds: dict[bool, list[float]] = {False: [], True: []}
        drawn = []
        for later in (True, False, True, False, True, False):
            leopard.generator.vision_cache.clear()
            begin = time.perf_counter()
            session = leopard.open_pages(leopard.load(path, later=later).pages)
            drawn.append(time.perf_counter() - begin)
            leopard.generator.start(session.request("What is the total?"))
            seconds[later].append(time.perf_counter() - begin)
    before, meanwhile = min(seconds[False]), min(seconds[True])
    report(
        case=f"{name}, PDF of {count} pages to visual tokens",
        threads=torch.get_num_threads(),
        drawing_s=min(drawn[1::2]),
        drawn_before_s=before,
        drawn_meanwhile_s=meanwhile,
        before_over_meanwhile=before / meanwhile,
    )


def write_pdf(count: int) -> bytes:
    """A PDF file of dense pages of text, as reports are."""
    import typst

    line = "#for n in range(55) [The item #(page * 97 + n * 31) of list #n costs #(n * page + 7). ]"
    source = f"#for page in range({count}) [#pagebreak(weak: true) #set text(9pt)\n{line * 3}]"
    return bytes(typst.compile(source.encode()))


def report(**values: object) -> None:
    """One line of JSON."""
    rounded = {
        key: round(value, 4) if isinstance(value, float | np.floating) else value
        for key, value in values.items()
    }
    print(json.dumps(rounded), flush=True)


def main() -> None:
    """Run the parts, memory in fresh processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=("leopard-nano", "medium"), default="leopard-nano")
    parser.add_argument("--pages", type=int, default=20)
    parser.add_argument("--max-crops", type=int, help="Fewer crops than 50: quicker to measure.")
    parser.add_argument("--engine", choices=("torch", "onnx"), default="torch")
    parser.add_argument("--threads", type=int, default=1)
    parts = ("all", "questions", "per-page", "drawing", "memory")
    parser.add_argument("--part", choices=parts, default="all")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.part in ("all", "questions"):
        questions(given.model, given.pages, given.max_crops, given.engine)
    if given.part in ("all", "per-page"):
        per_page(given.model)
    if given.part in ("all", "drawing"):
        drawing(given.model, given.pages)
    if given.part == "memory":
        memory(given.model, given.pages, given.engine)
    if given.part == "all":
        for name in ("leopard-nano", "medium"):
            command = [sys.executable, __file__, "--part", "memory", "--model", name]
            command += ["--pages", str(given.pages), "--engine", given.engine]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
