"""Samples at a glance: one page of each, with a question, its answer and where it is printed.

Knows nothing of how samples are made.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from leopard.curation.pixels import draw
from leopard.schema.samples import PixelImage, QuestionAnswer, Sample
from leopard.schema.shards import PdfTable, iter_samples, read_info, shard_paths

CELL = (300, 400)
"""Width and height of one sample, in pixels."""
_TEXT_HEIGHT, _LINE, _WIDEST = 100, 15, 46
"""Height below the page, of a line, in pixels; letters on a line."""
_GAP, _COLUMNS = 8, 6
_FRAME = "#e4572e"


def gallery(folder: Path, count: int) -> PIL.Image.Image:
    """`count` samples, evenly picked over the shards of a folder, as one picture."""
    cells = [_cell(sample, pdfs) for sample, pdfs in _picked(folder, count)]
    rows = -(-max(1, len(cells)) // _COLUMNS)
    sheet = PIL.Image.new("RGB", (_COLUMNS * CELL[0], rows * CELL[1]), "#777777")
    for position, cell in enumerate(cells):
        row, column = divmod(position, _COLUMNS)
        sheet.paste(cell, (column * CELL[0] + _GAP // 2, row * CELL[1] + _GAP // 2))
    return sheet.quantize(128)


def _picked(folder: Path, count: int) -> Iterator[tuple[Sample, PdfTable]]:
    shards = shard_paths(folder)
    total = sum(read_info(shard).rows for shard in shards)
    wanted = {round(i * total / count) for i in range(count)}
    first = 0
    for shard in shards:
        rows = read_info(shard).rows
        inside = {index - first for index in wanted if first <= index < first + rows}
        first += rows
        if inside:
            pdfs = PdfTable(shard)
            samples = enumerate(islice(iter_samples(shard), max(inside) + 1))
            yield from ((sample, pdfs) for number, sample in samples if number in inside)


def _cell(sample: Sample, pdfs: PdfTable) -> PIL.Image.Image:
    width, height = CELL[0] - _GAP, CELL[1] - _GAP
    cell = PIL.Image.new("RGB", (width, height), "#ffffff")
    qa = next((qa for qa in sample.qa if qa.evidence), next(iter(sample.qa), None))
    number = qa.evidence[0].image if qa is not None and qa.evidence else 0
    if number < len(sample.images):
        page = _page(sample, number, pdfs)
        page.thumbnail((width, height - _TEXT_HEIGHT), PIL.Image.Resampling.LANCZOS)
        _frame(page, number, qa)
        cell.paste(page, ((width - page.width) // 2, 0))
    drawing, font = PIL.ImageDraw.Draw(cell), PIL.ImageFont.load_default(12)
    top = height - _TEXT_HEIGHT + 4
    drawing.line([(0, top - 3), (width, top - 3)], "#777777")
    for line in _words(sample, number, qa):
        drawing.text((4, top), line, fill="#111111", font=font)
        top += _LINE
    return cell


def _page(sample: Sample, number: int, pdfs: PdfTable) -> PIL.Image.Image:
    image = sample.images[number]
    if isinstance(image, PixelImage):
        return PIL.Image.open(io.BytesIO(image.data)).convert("RGB")
    return draw(pdfs.read(image.pdf_ref), image)


def _frame(page: PIL.Image.Image, number: int, qa: QuestionAnswer | None) -> None:
    """Frames around the evidence that is on a page."""
    pen = 2
    drawing = PIL.ImageDraw.Draw(page)
    for evidence in qa.evidence if qa is not None else ():
        if evidence.image == number:
            left, top, right, bottom = evidence.box
            drawing.rectangle(
                (left * page.width - pen, top * page.height - pen,
                 right * page.width + pen, bottom * page.height + pen),
                outline=_FRAME, width=pen,
            )  # fmt: skip


def _words(sample: Sample, number: int, qa: QuestionAnswer | None) -> list[str]:
    """At most six lines: domain and page, question, answer."""
    lines = [f"{sample.domain}, page {number + 1} of {len(sample.images)}"]
    if qa is None:
        return lines
    asked = textwrap.wrap(" ".join(qa.question.split()), _WIDEST)
    if len(asked) > 3:
        asked = [*asked[:2], asked[2][: _WIDEST - 4] + " ..."]
    answer = textwrap.wrap(f"-> {qa.answer}", _WIDEST)
    return [*lines, *asked, *answer[:2]]
