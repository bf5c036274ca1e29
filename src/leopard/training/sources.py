"""Where samples come from: shards of either kind, or files with questions.

A source tells sizes and messages of a sample cheaply, so that steps are planned without touching a
pixel, and makes the pixels when a worker asks. Knows nothing of prompts or batches.
"""

from __future__ import annotations

import io
import json
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import PIL.Image

from leopard.documents import LoadOptions, load_pages, page_sizes
from leopard.errors import DataError, DocumentError, LeopardError
from leopard.inference.leopard import question_about
from leopard.schema.geometry import ImageSize
from leopard.schema.messages import Message, TextPart
from leopard.schema.pixels import to_rgb
from leopard.schema.rows import Row
from leopard.schema.samples import VectorPage
from leopard.schema.shards import PdfTable, read_row_group, row_groups, shard_paths

_LIGHT = ("id", "messages", "image_sizes", "pages", "split")
"""Columns that say what a sample is without its pixels."""
CACHED_BYTES = 512 * 2**20
"""Most bytes of encoded images that one process keeps; one row group always."""
_CACHED_GROUPS = 64

PageDrawer = Callable[[bytes, VectorPage], PIL.Image.Image]
"""Draws a page of a PDF file as the sample wants it: size, and scan simulation where it has one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What is known of a sample before its images are drawn."""

    id: str
    messages: tuple[Message, ...]
    sizes: tuple[ImageSize, ...]
    """Sizes of its images, in prompt order."""


class Source(Protocol):
    """One part of the mix."""

    @property
    def groups(self) -> Sequence[range]:
        """Row numbers that are cheap to read together; all rows, in order."""
        ...

    def record(self, row: int) -> Record:
        """What a row is, without its pixels.

        Raises:
            LeopardError: If the row is no sample.
        """
        ...

    def images(self, row: int) -> list[PIL.Image.Image]:
        """The images of a row, in prompt order.

        Raises:
            LeopardError: If an image cannot be read.
        """
        ...


def open_source(path: Path, *, split: str | None, draw: PageDrawer, options: LoadOptions) -> Source:
    """Open a shard, a folder of shards, or a `.jsonl` list of files with questions.

    Args:
        path: Where it lies.
        split: Only samples of this split; None takes all.
        draw: Draws pages of vector shards.
        options: How files of a list become pages: as they do when the model is asked.

    Raises:
        DataError: If nothing is there.
    """
    if path.suffix == ".jsonl":
        return FileSource.open(path, options)
    return ShardSource.open(path, split=split, draw=draw)


@dataclass(slots=True)
class ShardSource:
    """Samples of shards that `leopard.schema.shards` wrote."""

    places: list[tuple[Path, int, list[int]]]
    """For each group: the file, its row group, and the rows in it that are taken."""
    groups: list[range]
    draw: PageDrawer
    _rows: OrderedDict[int, list[Row]] = field(default_factory=OrderedDict)
    _pixels: OrderedDict[int, list[Any]] = field(default_factory=OrderedDict)
    _tables: dict[Path, PdfTable] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, *, split: str | None, draw: PageDrawer) -> ShardSource:
        """Index the rows under a path."""
        places: list[tuple[Path, int, list[int]]] = []
        for shard in shard_paths(path):
            for group, size in enumerate(row_groups(shard)):
                rows = list(range(size))
                if split is not None:
                    found = read_row_group(shard, group, ["split"])
                    rows = [row for row in rows if found[row]["split"] == split]
                if rows:
                    places.append((shard, group, rows))
        ends = [0]
        for _, _, rows in places:
            ends.append(ends[-1] + len(rows))
        return cls(places, [range(start, end) for start, end in pairwise(ends)], draw)

    def record(self, row: int) -> Record:
        """See `Source`."""
        group, inside = self._locate(row)
        values = self._light(group)[inside]
        try:
            return Record(
                id=values["id"],
                messages=tuple(Message.from_dict(message) for message in values["messages"]),
                sizes=tuple(_sizes(values)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{self._name(row)}: not a sample ({error!r})") from error

    def images(self, row: int) -> list[PIL.Image.Image]:
        """See `Source`."""
        group, inside = self._locate(row)
        pages = self._light(group)[inside].get("pages")
        if pages:
            return [self._page(self.places[group][0], row, VectorPage(**page)) for page in pages]
        images = self._encoded(group)[inside] or []
        return [self._decode(image["bytes"], row, size) for image, size in
                zip(images, self.record(row).sizes, strict=True)]  # fmt: skip

    def _page(self, shard: Path, row: int, page: VectorPage) -> PIL.Image.Image:
        if shard not in self._tables:
            self._tables = {shard: PdfTable(shard)}
        pdf = self._tables[shard].read(page.pdf_ref)
        try:
            return self.draw(pdf, page)
        except (RuntimeError, IndexError, OSError, ValueError) as error:
            raise DataError(
                f"{self._name(row)}: page {page.page} cannot be drawn ({error}); "
                "check the shard with `leopard curate verify`"
            ) from error

    def _decode(self, data: bytes, row: int, size: ImageSize) -> PIL.Image.Image:
        try:
            with PIL.Image.open(io.BytesIO(data)) as image:
                upright = to_rgb(image)
        except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
            raise DataError(f"{self._name(row)}: an image cannot be read ({error})") from error
        if (upright.width, upright.height) != (size.width, size.height):
            raise DataError(
                f"{self._name(row)}: an image is {upright.width} x {upright.height} pixels but the "
                f"shard says {size.width} x {size.height}"
            )
        return upright

    def _name(self, row: int) -> str:
        group, inside = self._locate(row)
        return f"sample {self._light(group)[inside].get('id', '?')} in {self.places[group][0]}"

    def _locate(self, row: int) -> tuple[int, int]:
        """Group and row within its row group."""
        group = bisect_right(self.groups, row, key=lambda rows: rows.start) - 1
        return group, self.places[group][2][row - self.groups[group].start]

    def _light(self, group: int) -> list[Row]:
        if group not in self._rows:
            shard, number, _ = self.places[group]
            self._rows[group] = read_row_group(shard, number, _LIGHT)
            while len(self._rows) > _CACHED_GROUPS:
                self._rows.popitem(last=False)
        self._rows.move_to_end(group)
        return self._rows[group]

    def _encoded(self, group: int) -> list[Any]:
        if group not in self._pixels:
            shard, number, _ = self.places[group]
            self._pixels[group] = [
                row["images"] for row in read_row_group(shard, number, ["images"])
            ]
            while len(self._pixels) > 1 and sum(map(_bytes, self._pixels.values())) > CACHED_BYTES:
                self._pixels.popitem(last=False)
        self._pixels.move_to_end(group)
        return self._pixels[group]

    def __getstate__(self) -> tuple[Any, ...]:
        # Workers read for themselves.
        return self.places, self.groups, self.draw

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.places, self.groups, self.draw = state
        self._rows, self._pixels, self._tables = OrderedDict(), OrderedDict(), {}


def _sizes(values: Row) -> list[ImageSize]:
    pages = values.get("pages")
    if pages:
        return [ImageSize(page["width"], page["height"]) for page in pages]
    return [ImageSize(width, height) for width, height in values.get("image_sizes") or []]


def _bytes(rows: list[Any]) -> int:
    return sum(len(image["bytes"]) for images in rows for image in images or [])


@dataclass(slots=True)
class FileSource:
    """Files with questions: one JSON object a line.

    A line has `files` (a name or a list, relative to the list's folder), `question` and `answer`,
    or `turns`, a list of such pairs; `pages` such as `1-3` is optional. Pages are drawn as they
    are when the model is asked about the same files.
    """

    path: Path
    lines: list[dict[str, Any]]
    options: LoadOptions
    groups: list[range] = field(default_factory=list)
    _sizes: dict[int, tuple[ImageSize, ...]] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, options: LoadOptions) -> FileSource:
        """Read the list; the files are looked at when their turn comes."""
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}); give a .jsonl") from error
        lines = [
            _read_line(line, f"{path}, line {number}")
            for number, line in enumerate(text.splitlines(), start=1)
            if line.strip()
        ]
        return cls(path, lines, options, [range(len(lines))] if lines else [])

    def record(self, row: int) -> Record:
        """See `Source`."""
        if row not in self._sizes:
            found = page_sizes(self._files(row), options=self._options(row))
            self._sizes[row] = tuple(found.sizes)
        messages: list[Message] = []
        for index, (question, answer) in enumerate(self.lines[row]["turns"]):
            shown = len(self._sizes[row]) if index == 0 else 0
            messages.append(question_about(question, shown))
            messages.append(Message("assistant", (TextPart(answer),)))
        return Record(
            id=f"{self.path.stem}-{row + 1}", messages=tuple(messages), sizes=self._sizes[row]
        )

    def images(self, row: int) -> list[PIL.Image.Image]:
        """See `Source`."""
        pages = load_pages(self._files(row), options=self._options(row)).pages
        return [page.image for page in pages]

    def _files(self, row: int) -> list[str | Path | PIL.Image.Image]:
        return [self.path.parent / name for name in self.lines[row]["files"]]

    def _options(self, row: int) -> LoadOptions:
        return replace(self.options, pages=self.lines[row]["pages"])


def _read_line(line: str, where: str) -> dict[str, Any]:
    """Files, pages and (question, answer) turns of one line."""
    try:
        values = json.loads(line)
        files = values["files"]
        turns = values.get("turns") or [values]
        return {
            "files": [files] if isinstance(files, str) else [str(file) for file in files],
            "pages": str(values.get("pages", "")),
            "turns": [(_text(turn, "question"), _text(turn, "answer")) for turn in turns],
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{where}: not understood ({error!r}); a line looks like "
            '{"files": ["a.pdf"], "question": "...", "answer": "..."}'
        ) from error


def _text(turn: Mapping[str, Any], name: str) -> str:
    if not isinstance(turn[name], str):
        raise TypeError(f"{name} is no text")
    return str(turn[name])


def reason_of(error: LeopardError) -> str:
    """Short name under which an unreadable sample is counted."""
    return "file cannot be read" if isinstance(error, DocumentError) else "not a sample"
