"""Files to pages: pages per second of drawing PDF pages and of decoding images.

The PDF holds text and tables, as reports do; the images are the same pages as PNG and JPEG files.
PDFs are drawn at the resolution that the page gets in a deck of that length, and at fixed ones.
Run: python benchmarks/bench_documents.py [--pages N] [--repeats N] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import typst

from leopard.documents import LoadOptions, load_pages, page_sizes


def write_pdf(path: Path, num_pages: int) -> None:
    """A report whose pages have a heading, text and a table of 20 rows."""
    rows = "".join(f"[{n}], [{n * 37 % 997}], [{n * 71 % 9973}], " for n in range(20))
    page = f"= Section\n#lorem(250)\n#table(columns: 3, {rows})\n"
    source = '#set page("us-letter")\n' + "#pagebreak()\n".join([page] * num_pages)
    path.write_bytes(typst.compile(source.encode()))


def median_s(work: Callable[[], object], repeats: int) -> float:
    """Median seconds of several runs, after one that does not count."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(folder: Path, num_pages: int, repeats: int) -> dict[str, float]:
    """Pages per second by case."""
    pdf = folder / "report.pdf"
    write_pdf(pdf, num_pages)
    cases: dict[str, Callable[[], object]] = {
        "sizes only": lambda: page_sizes([pdf]),
        "PDF, fitted": lambda: load_pages([pdf]),
        "PDF, 72 dpi": lambda: load_pages([pdf], options=LoadOptions(target_dpi=72)),
        "PDF, 150 dpi": lambda: load_pages([pdf], options=LoadOptions(target_dpi=150)),
        "PDF, 300 dpi": lambda: load_pages([pdf], options=LoadOptions(target_dpi=300)),
    }
    pages = load_pages([pdf], options=LoadOptions(target_dpi=150)).pages
    for suffix in ("png", "jpg"):
        scans = folder / suffix
        scans.mkdir()
        for page in pages:
            page.image.save(scans / f"{page.number}.{suffix}")
        cases[f"{suffix.upper()}, 1275x1650"] = lambda scans=scans: load_pages([scans])
    return {name: num_pages / median_s(work, repeats) for name, work in cases.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pages", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rates = measure(Path(folder), arguments.pages, arguments.repeats)
    if arguments.json:
        print(json.dumps({"pages": arguments.pages, "pages_per_s": rates}))
        return
    print(f"{arguments.pages} pages, median of {arguments.repeats} runs")
    for name, rate in rates.items():
        print(f"{name:18} {rate:10.1f} pages/s")


if __name__ == "__main__":
    main()
