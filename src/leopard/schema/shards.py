"""Shards: files of samples, written whole or not at all.

Two stores share one row format. A pixel shard is one parquet file whose images are embedded as
files, with the features that `datasets` and TRL expect. A vector shard keeps PDF pages: the
samples in `NAME.parquet`, the PDFs once each, by SHA-256, in `NAME.pdfs.parquet`; the reader
draws them at the size it wants. Beside each lies `NAME.json`: rows, checksums, the hash of the
settings, and what was rejected and why.

A shard exists when `NAME.parquet` does: it is renamed into place last. Knows nothing of how
samples are made or what is trained on them.
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from leopard.errors import ConfigError, DataError
from leopard.schema.files import is_running, publish, temporary_name, write_text_atomically
from leopard.schema.rows import Row, row_to_sample, sample_to_row
from leopard.schema.samples import Sample, VectorPage

ShardKind = Literal["vector", "pixel"]
ROW_GROUP = 64
"""Rows per parquet row group; image readers hold one group in memory at a time."""
PDF_SUFFIX = ".pdfs.parquet"
SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardInfo:
    """What the sidecar of a shard says."""

    kind: ShardKind
    rows: int
    """Samples in the shard."""
    sha256: str
    """SHA-256 of `NAME.parquet`, in hex."""
    pdfs: int = 0
    """PDFs in the side table."""
    pdfs_sha256: str = ""
    """SHA-256 of the side table, or empty."""
    config_hash: str = ""
    """Hash of the settings that decide the content."""
    rejects: Mapping[str, int] = field(default_factory=dict)
    """What was made and thrown away: reason -> count."""
    schema_version: int = SCHEMA_VERSION


def write_shard(
    path: Path,
    samples: Iterable[Sample],
    *,
    pdfs: Mapping[str, bytes] | None = None,
    config_hash: str = "",
    rejects: Mapping[str, int] | None = None,
) -> ShardInfo:
    """Write one shard; readers see all of it or nothing, also after a crash.

    Args:
        path: `NAME.parquet`; its folder must exist.
        samples: In the order they are stored. All pixels, or all PDF pages.
        pdfs: PDF files by SHA-256: those the samples refer to, no more and no fewer.
        config_hash: Hash of the settings that decide the content.
        rejects: Reason -> count of what was thrown away on the way.

    Raises:
        DataError: If a PDF is missing, superfluous or not what its hash says, or kinds mix.
    """
    kept = list(samples)
    table = dict(pdfs or {})
    used = _check_pdfs(kept, table)
    kind: ShardKind = "vector" if used else "pixel"
    rows = [sample_to_row(sample) for sample in kept]
    pdfs_sha256 = ""
    side = pdf_table_path(path)
    if used:
        pdf_rows = [{"sha256": sha, "pdf": table[sha]} for sha in used]
        pdfs_sha256 = _write_parquet(side, pdf_rows, _pdf_schema(), compression="none")
    pending = _write_temporary(path, rows, _row_schema(kind), _compression(kind))
    info = ShardInfo(
        kind=kind,
        rows=len(rows),
        sha256=_sha256_file(pending),
        pdfs=len(used),
        pdfs_sha256=pdfs_sha256,
        config_hash=config_hash,
        rejects=dict(sorted((rejects or {}).items())),
    )
    write_text_atomically(info_path(path), json.dumps(asdict(info), indent=1) + "\n")
    publish(pending, path)
    return info


def iter_samples(path: Path | str) -> Iterator[Sample]:
    """Stream the samples of a shard, or of a folder of shards in name order.

    Raises:
        DataError: If there is no shard, or a row is not a sample.
    """
    for shard in shard_paths(path):
        for row in iter_rows(shard):
            yield row_to_sample(row)


def iter_rows(shard: Path) -> Iterator[Row]:
    """Stream the raw rows of one shard file, one row group in memory at a time."""
    reader = _open(shard)
    for group in range(reader.num_row_groups):
        yield from reader.read_row_group(group).to_pylist()


def row_groups(shard: Path) -> list[int]:
    """Rows of each row group of one shard file; row groups are what can be read on its own.

    Raises:
        DataError: If the file is not readable.
    """
    meta = _open(shard).metadata
    return [meta.row_group(group).num_rows for group in range(meta.num_row_groups)]


def read_row_group(shard: Path, group: int, columns: Iterable[str] | None = None) -> list[Row]:
    """The raw rows of one row group.

    Args:
        shard: The shard file.
        group: Number of the row group, counted from 0.
        columns: Columns to read, those that the shard does not have left out; None reads all.

    Raises:
        DataError: If the file is not readable.
    """
    reader = _open(shard)
    there = set(reader.schema_arrow.names)
    wanted = None if columns is None else [name for name in columns if name in there]
    rows: list[Row] = reader.read_row_group(group, columns=wanted).to_pylist()
    return rows


def shard_paths(path: Path | str) -> list[Path]:
    """The sample files under a path: the file itself, or a folder's, in name order.

    Raises:
        DataError: If nothing is there.
    """
    root = Path(path)
    if root.is_file():
        return [root]
    found = sorted(p for p in root.rglob("*.parquet") if not p.name.endswith(PDF_SUFFIX))
    if not found:
        raise DataError(
            f"{root}: no shard here (looked for *.parquet); make some with `leopard curate synth`"
        )
    return found


def info_path(shard: Path) -> Path:
    """Where the sidecar of a shard lies."""
    return shard.with_suffix(".json")


def pdf_table_path(shard: Path) -> Path:
    """Where the PDFs of a vector shard lie."""
    return shard.with_name(shard.name.removesuffix(".parquet") + PDF_SUFFIX)


def read_info(shard: Path) -> ShardInfo:
    """Read the sidecar of a shard.

    Raises:
        DataError: If it is missing or damaged.
    """
    side = info_path(shard)
    try:
        return ShardInfo(**json.loads(side.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{side}: the sidecar of {shard.name} cannot be read ({error}); "
            "delete the shard and run the command again"
        ) from error


def check_shard(shard: Path) -> ShardInfo:
    """Compare a shard and its side table with the checksums of the sidecar.

    Raises:
        DataError: Naming the file that differs.
    """
    info = read_info(shard)
    for file, wanted in ((shard, info.sha256), (pdf_table_path(shard), info.pdfs_sha256)):
        if wanted and _sha256_file(file) != wanted:
            raise DataError(
                f"{file}: SHA-256 differs from the sidecar; the file was changed or damaged. "
                "Delete the shard and run the command again"
            )
    return info


class PdfTable:
    """The PDFs of vector shards by SHA-256, read in row groups as they are needed.

    Args:
        path: A shard or a folder of shards.
        cached_groups: Row groups (of at most 64 PDFs) kept in memory.
    """

    def __init__(self, path: Path | str, *, cached_groups: int = 4) -> None:
        self._home: dict[str, tuple[Path, int]] = {}
        self._cache: OrderedDict[tuple[Path, int], dict[str, bytes]] = OrderedDict()
        self._cached_groups = cached_groups
        for shard in shard_paths(path):
            side = pdf_table_path(shard)
            if side.exists():
                self._index(side)

    def __len__(self) -> int:
        return len(self._home)

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._home

    def read(self, sha256: str) -> bytes:
        """The PDF file with this hash.

        Raises:
            DataError: If no shard holds it.
        """
        if sha256 not in self._home:
            raise DataError(
                f"PDF {sha256[:12]}... is in none of the {len(self)} PDFs of these shards; "
                "keep NAME.parquet and NAME.pdfs.parquet together"
            )
        place = self._home[sha256]
        if place not in self._cache:
            rows = _open(place[0]).read_row_group(place[1]).to_pylist()
            self._cache[place] = {row["sha256"]: row["pdf"] for row in rows}
            while len(self._cache) > self._cached_groups:
                self._cache.popitem(last=False)
        self._cache.move_to_end(place)
        return self._cache[place][sha256]

    def _index(self, side: Path) -> None:
        reader = _open(side)
        for group in range(reader.num_row_groups):
            hashes = reader.read_row_group(group, columns=["sha256"]).column(0).to_pylist()
            self._home.update((sha, (side, group)) for sha in hashes)


def remove_stale(shard: Path) -> int:
    """Delete what dead writers of this shard on this computer left behind; returns how many files.

    Files of writers that still run, or of other computers, stay.
    """
    removed = 0
    host = socket.gethostname()
    for name in (shard.name, pdf_table_path(shard).name, info_path(shard).name):
        for file in shard.parent.glob(f"{name}.tmp.{host}.*"):
            if not is_running(int(file.name.rsplit(".", 1)[1])):
                file.unlink(missing_ok=True)
                removed += 1
    return removed


def _check_pdfs(samples: list[Sample], pdfs: Mapping[str, bytes]) -> list[str]:
    """Hashes in order of first use; every PDF is checked against its hash."""
    used = list(
        dict.fromkeys(
            image.pdf_ref for s in samples for image in s.images if isinstance(image, VectorPage)
        )
    )
    missing, extra = set(used) - set(pdfs), set(pdfs) - set(used)
    if missing or extra:
        raise DataError(
            f"{len(missing)} PDFs that samples refer to are missing and {len(extra)} are referred "
            "to by none; give exactly the PDFs of these samples"
        )
    for sha in used:
        if hashlib.sha256(pdfs[sha]).hexdigest() != sha:
            raise DataError(f"PDF {sha[:12]}...: the bytes have another SHA-256")
    return used


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            "shards need pyarrow, which is not installed: pip install 'leopard[curation]'"
        ) from error
    return pyarrow


def _open(path: Path) -> Any:
    arrow = _arrow()
    try:
        return arrow.parquet.ParquetFile(path)
    except (OSError, arrow.ArrowInvalid) as error:
        raise DataError(
            f"{path}: not a readable parquet file ({error}); delete it and run the command again"
        ) from error


def _pdf_schema() -> Any:
    arrow = _arrow()
    return arrow.schema([("sha256", arrow.string()), ("pdf", arrow.binary())])


def _row_schema(kind: ShardKind) -> Any:
    pa = _arrow()
    text, number = pa.string(), pa.int32()
    part = pa.struct([("type", text), ("text", text)])
    message = pa.struct([("role", text), ("content", pa.list_(part))])
    evidence = pa.struct([("image", number), ("element", text), ("box", pa.list_(pa.float64()))])
    answer = [(name, text) for name in ("question", "answer", "answer_type", "family")]
    answer += [("aliases", pa.list_(text)), ("choices", pa.list_(text))]
    answer += [("rationale", text), ("program", text)]
    answer += [("evidence", pa.list_(evidence)), ("pages_needed", number)]
    page = [("pdf_ref", text), ("page", number), ("dpi", pa.float64())]
    page += [("width", number), ("height", number), ("augment_seed", pa.int64())]
    columns = [(name, text) for name in ("id", "doc_id", "domain", "task")]
    columns += [("messages", pa.list_(message)), ("qa", pa.list_(pa.struct(answer)))]
    columns += [(name, text) for name in ("provenance", "quality", "licence", "split")]
    if kind == "vector":
        return pa.schema([*columns, ("pages", pa.list_(pa.struct(page)))])
    image = pa.struct([("bytes", pa.binary()), ("path", text)])
    columns += [("images", pa.list_(image)), ("image_sizes", pa.list_(pa.list_(number)))]
    return pa.schema(columns, metadata={"huggingface": json.dumps(_HF_INFO)})


def _hf_value(dtype: str) -> dict[str, str]:
    return {"dtype": dtype, "_type": "Value"}


def _hf_list(feature: Any) -> dict[str, Any]:
    return {"feature": feature, "_type": "List"}


_HF_TEXT = _hf_value("string")
_HF_EVIDENCE = {
    "image": _hf_value("int32"),
    "element": _HF_TEXT,
    "box": _hf_list(_hf_value("float64")),
}
_HF_QA = {
    **dict.fromkeys(("question", "answer", "answer_type", "family"), _HF_TEXT),
    **dict.fromkeys(("aliases", "choices"), _hf_list(_HF_TEXT)),
    **dict.fromkeys(("rationale", "program"), _HF_TEXT),
    "evidence": _hf_list(_HF_EVIDENCE),
    "pages_needed": _hf_value("int32"),
}
_HF_FEATURES = {
    **dict.fromkeys(("id", "doc_id", "domain", "task"), _HF_TEXT),
    "messages": _hf_list(
        {"role": _HF_TEXT, "content": _hf_list({"type": _HF_TEXT, "text": _HF_TEXT})}
    ),
    "qa": _hf_list(_HF_QA),
    **dict.fromkeys(("provenance", "quality", "licence", "split"), _HF_TEXT),
    "images": _hf_list({"_type": "Image"}),
    "image_sizes": _hf_list(_hf_list(_hf_value("int32"))),
}
_HF_INFO = {"info": {"features": _HF_FEATURES}}
"""The schema in the words of the `datasets` library, so that `images` decode as pictures."""


def _compression(kind: ShardKind) -> str | dict[str, str]:
    if kind == "vector":
        return "zstd"
    names = [f.name for f in _row_schema(kind)]
    # Pictures are compressed already; a second pass costs time and gains nothing.
    return {name: "none" if name == "images" else "zstd" for name in names}


def _write_temporary(
    path: Path, rows: list[Row], schema: Any, compression: str | dict[str, str]
) -> Path:
    pa = _arrow()
    pending = temporary_name(path)
    if isinstance(compression, dict):
        leaves = _leaf_names(schema)
        compression = {leaf: compression[leaf.split(".")[0]] for leaf in leaves}
    names = set(schema.names)
    plain = [{key: value for key, value in row.items() if key in names} for row in rows]
    with pa.parquet.ParquetWriter(pending, schema, compression=compression) as writer:
        for start in range(0, len(plain), ROW_GROUP):
            writer.write_table(pa.Table.from_pylist(plain[start : start + ROW_GROUP], schema))
    return pending


def _leaf_names(schema: Any) -> list[str]:
    """Paths of the leaf columns as parquet names them."""
    pa = _arrow()
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(schema.empty_table(), sink)
    leaves = pa.parquet.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    return [leaves.column(i).path for i in range(len(leaves))]


def _write_parquet(path: Path, rows: list[Row], schema: Any, *, compression: str) -> str:
    pending = _write_temporary(path, rows, schema, compression)
    sha256 = _sha256_file(pending)
    publish(pending, path)
    return sha256


def _sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
