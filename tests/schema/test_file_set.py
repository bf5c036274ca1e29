import zipfile

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leopard.errors import DataError
from leopard.schema.file_set import FileSet, natural_key


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def packed(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


@given(names=st.lists(st.text("aB0129._", max_size=6), max_size=6), data=st.data())
def test_natural_order_does_not_depend_on_the_order_before(names, data):
    shuffled = data.draw(st.permutations(names))
    keys = [natural_key(name) for name in sorted(names, key=natural_key)]
    assert [natural_key(name) for name in sorted(shuffled, key=natural_key)] == keys


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_numbers_in_names_are_compared_as_numbers(a, b):
    assert (natural_key(f"page{a}.png") < natural_key(f"page{b}.png")) == (a < b)


def test_folder_and_zip_look_alike(tmp_path):
    for number in (10, 9, 100):
        put(tmp_path / f"in/s/slide_{number}.png", b"%d" % number)
    for files in (FileSet(tmp_path / "in"), FileSet(packed(tmp_path / "in", tmp_path / "in.zip"))):
        assert files.names == ("s/slide_9.png", "s/slide_10.png", "s/slide_100.png")
        assert files.read("s/slide_10.png") == b"10"
        with pytest.raises(DataError, match=r"cannot be read \(s/slide_11\.png\)"):
            files.read("s/slide_11.png")


def test_files_are_found_wherever_the_archive_was_unpacked(tmp_path):
    put(tmp_path / "outer/train/a.json", b"[]")
    put(tmp_path / "outer/train/b.json", b"[]")
    files = FileSet(tmp_path, hint="See example.org.")
    assert files.find("c.json", "train/b.json") == "outer/train/b.json"
    assert files.locate("nowhere/a.json", "train/a.json") == "outer/train/a.json"
    assert files.locate("./train\\a.json") == "outer/train/a.json"
    with pytest.raises(DataError, match=r"holds no c\.json or d\*\.json\. See example\.org\."):
        files.find("c.json", "d*.json")
    with pytest.raises(DataError, match=r"a file is missing \(z\.json\)"):
        files.locate("z.json")


def test_a_star_stays_within_one_name_and_litter_is_not_seen(tmp_path):
    for name in (
        "DUDE/ocr/1.json",
        "a/DUDE_gt.json",
        "__MACOSX/a/DUDE_gt.json",
        "a/._DUDE_gt.json",
    ):
        put(tmp_path / name, b"[]")
    put(tmp_path / ".cache/huggingface/DUDE_x.json", b"[]")
    for files in (FileSet(tmp_path), FileSet(packed(tmp_path, tmp_path.with_suffix(".zip")))):
        assert files.matching("*DUDE*.json") == ["a/DUDE_gt.json"]
        assert files.matching("ocr/*.json") == ["DUDE/ocr/1.json"]
        assert len(files.names) == 2


def test_a_name_that_fits_several_files_is_refused_but_an_exact_path_is_not(tmp_path):
    for name in ("1.png", "deep/1.png", "other/1.png"):
        put(tmp_path / name, b"x")
    files = FileSet(tmp_path)
    assert files.locate("1.png") == "1.png"
    assert files.locate("deep/1.png") == "deep/1.png"
    (tmp_path / "1.png").unlink()
    with pytest.raises(DataError, match=r"fits several files \(1\.png\)"):
        FileSet(tmp_path).locate("1.png")


def test_damaged_files_are_named(tmp_path):
    put(tmp_path / "a.json", b'{"data": [')
    put(tmp_path / "b.json", b"\xff\xfe")
    put(tmp_path / "deep.json", b"[" * 100_000)
    put(tmp_path / "c.parquet", b"PAR1")
    put(tmp_path / "d.txt", b"\xff")
    files = FileSet(tmp_path)
    for name in ("a.json", "b.json", "deep.json"):
        with pytest.raises(DataError, match=f"{name}: not JSON"):
            files.json(name)
    with pytest.raises(DataError, match=r"c\.parquet: not readable as parquet"):
        list(files.parquet("c.parquet"))
    with pytest.raises(DataError, match=r"not UTF-8 \(d\.txt\)"):
        files.text("d.txt")
    with pytest.raises(DataError, match="no such folder or zip"):
        FileSet(tmp_path / "none")
    with pytest.raises(DataError, match="not a folder or a zip"):
        FileSet(tmp_path / "d.txt")


def test_rows_of_parquet_files_know_their_file(tmp_path):
    for name, values in (("part-10.parquet", [3]), ("part-9.parquet", [1, 2])):
        pyarrow.parquet.write_table(pyarrow.table({"n": values}), tmp_path / name)
    wanted = [(1, "part-9.parquet"), (2, "part-9.parquet"), (3, "part-10.parquet")]
    for files in (FileSet(tmp_path), FileSet(packed(tmp_path, tmp_path.with_suffix(".zip")))):
        rows = [(row["n"], row["_file"]) for row in files.parquet("part-*.parquet")]
        assert rows == wanted
