import builtins
import contextlib
import io
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from leopard.errors import ConfigError, EvaluationError
from leopard.evaluation.answers import parse_answer, split_list
from leopard.evaluation.data import DataFolder, embedded_image
from leopard.evaluation.fake import ScriptedGenerator
from leopard.evaluation.samples import EvalSample, open_image
from leopard.evaluation.scorers import read_letter
from leopard.evaluation.tasks import get_task
from leopard.schema.generation import GenerationRequest
from leopard.schema.messages import Message
from leopard.schema.samples import PixelImage, QuestionAnswer, Sample, VectorPage, conversation
from leopard.schema.shards import write_shard
from tests.evaluation.fixtures.builders import build, pdf, picture, put


def test_evaluation_loads_no_tensor_library():
    code = (
        "import sys, leopard.evaluation.runner, leopard.evaluation.report.pages, "
        "leopard.evaluation.tasks.mpdocvqa; "
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_file_that_a_record_needs_is_named(tmp_path):
    for name in ("a/x.png", "b/x.png"):
        put(tmp_path / name, picture())
    data = DataFolder(tmp_path)
    with pytest.raises(EvaluationError, match=r"fits several files \(x\.png\)"):
        data.locate("x.png")
    with pytest.raises(EvaluationError, match=r"a file is missing \(z\.png\)"):
        data.locate("z.png", "w.png")


def test_damaged_files_are_named(tmp_path):
    put(tmp_path / "x.json", "{")
    put(tmp_path / "x.jsonl", '{"a": 1}\n\n{')
    put(tmp_path / "x.txt", "plain")
    data = DataFolder(tmp_path)
    with pytest.raises(EvaluationError, match=r"x\.json: not JSON"):
        data.json("x.json")
    with pytest.raises(EvaluationError, match="line 3"):
        list(data.jsonl("x.jsonl"))
    with pytest.raises(EvaluationError, match="not a folder or a zip"):
        DataFolder(tmp_path / "x.txt")
    with pytest.raises(EvaluationError, match="no image bytes"):
        embedded_image({"bytes": None}, "x")
    with pytest.raises(EvaluationError, match="not a picture"):
        open_image(b"GIF89a", "x")


def test_odd_pictures_become_upright_rgb():
    for mode in ("RGBA", "P", "L", "CMYK"):
        image = Image.new(mode, (30, 20))
        buffer = __import__("io").BytesIO()
        image.save(buffer, format="TIFF" if mode == "CMYK" else "PNG")
        assert open_image(buffer.getvalue(), mode).mode == "RGB"


def test_missing_pyarrow_names_the_command(tmp_path, monkeypatch):
    folder = build("mathvista", tmp_path)
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("pyarrow"):
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'leopard\[evaluation\]'"):
        list(get_task("mathvista").samples(folder))


@pytest.mark.parametrize(
    ("raw", "text", "pages"),
    [
        ("Paris", "Paris", ()),
        ("It is so. Answer: Paris ", "Paris", ()),
        ("Answer: x\nFinal answer: y", "y", ()),
        ("the answer is: 7", "7", ()),
        ("May 1\nPages: 1, 3", "May 1", (1, 3)),
        ("page 12", "page 12", (12,)),
        ("On pages 2 and 4 it says 5", "On pages 2 and 4 it says 5", (2, 4)),
        ("", "", ()),
    ],
)
def test_answer_is_taken_from_the_response(raw, text, pages):
    answer = parse_answer(raw)
    assert (answer.raw, answer.text, answer.pages) == (raw, text, pages)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("['a', 2]", ["a", "2"]),
        ("[__import__('os')]", ["[__import__('os')]"]),
        ("a; b ;", ["a", "b"]),
        ("a\nb", ["a", "b"]),
        ("a, b", ["a", "b"]),
        ("1,200", ["1,200"]),
        ("", []),
    ],
)
def test_lists_are_split_without_running_them(text, items):
    assert split_list(text) == items


@pytest.mark.parametrize(
    ("text", "letter"),
    [("B)", "B"), ("**b**", "B"), ("B: dog", "B"), ("dog", "B"), ("(A)", "A"), ("x", None)],
)
def test_letters_are_read_in_common_forms(text, letter):
    assert read_letter(text, {"A": "cat", "B": "dog"}) == letter


def test_rows_picked_by_a_samples_file(tmp_path):
    wtq = build("wikitablequestions", tmp_path / "wtq")
    row = {"id": "s1", "table_csv": "csv/204-csv/1.csv", "question": "?", "answers": ["Lima"]}
    put(wtq / "samples.jsonl", json.dumps(row))
    (sample,) = get_task("wikitablequestions").samples(wtq)
    assert sample.gold == {"target": ["Lima"], "canon": None}
    receipts = build("receipts", tmp_path / "receipts")
    put(receipts / "img/X002.jpg", picture(fmt="JPEG"))
    row = {"id": "m", "images": ["img/X001.jpg", "img/X002.jpg"], "question": "?", "answers": ["1"]}
    put(receipts / "samples.jsonl", json.dumps(row))
    (sample,) = get_task("receipts").samples(receipts)
    assert len(sample.images) == 2
    assert sample.evidence is None


def test_held_out_pdf_pages_are_drawn(tmp_path):
    import hashlib

    content = pdf(2)
    name = hashlib.sha256(content).hexdigest()
    page = VectorPage(pdf_ref=name, page=2, dpi=72, width=120, height=90)
    qa = (QuestionAnswer(question="Colour?", answer="red"),)

    def item(sample_id, image):
        return Sample(
            id=sample_id,
            doc_id="d",
            domain="document",
            task="t",
            qa=qa,
            images=(image,),
            messages=conversation(1, qa),
        )

    scanned = VectorPage(pdf_ref=name, page=1, dpi=72, width=120, height=90, augment_seed=1)
    samples = [item("a", page), item("b", scanned)]
    write_shard(tmp_path / "x.parquet", samples, pdfs={name: content})
    first, second = get_task("synthetic").samples(tmp_path / "x.parquet")
    image = open_image(first.images[0].read(), "x")
    red, green, _ = image.getpixel((image.width // 2, image.height // 2))
    assert red > 200 > green
    assert "scan simulation" in second.problem


def test_pixel_samples_keep_their_bytes(tmp_path):
    qa = (QuestionAnswer(question="?", answer="x", choices=("y", "z")),)
    image = PixelImage(data=picture(), width=48, height=32)
    sample = Sample(
        id="a",
        doc_id="d",
        domain="chart",
        task="t",
        qa=qa,
        images=(image,),
        messages=conversation(1, qa),
    )
    write_shard(tmp_path / "x.parquet", [sample])
    (got,) = get_task("synthetic").samples(tmp_path)
    assert got.images[0].read() == image.data
    assert got.answers == ("x",)


@pytest.mark.parametrize(
    ("name", "file", "change", "reason"),
    [
        ("mpdocvqa", "val.json", {"page_ids": []}, "page_ids is empty"),
        ("mpdocvqa", "val.json", {"page_ids": ["doc_p0", "doc_p0"]}, "repeat a page"),
        ("dude", "2023-03-23_DUDE_gt_test_PUBLIC.json", {"docId": "zzz"}, "no page images"),
    ],
)
def test_records_that_cannot_be_asked_say_why(name, file, change, reason, tmp_path):
    folder = build(name, tmp_path)
    content = json.loads((folder / file).read_text())
    content["data"][0].update(change)
    (folder / file).write_text(json.dumps(content))
    assert reason in next(iter(get_task(name).samples(folder))).problem


def test_fake_streams_what_it_generates():
    generator = ScriptedGenerator(lambda _: "one two")
    request = GenerationRequest(messages=(Message.of("user", "q"),))
    assert "".join(generator.stream(request)).strip() == generator.generate([request])[0].text


def test_choices_have_letters():
    sample = EvalSample(id="s", doc_id="d", question="?", options=("x", "y"))
    assert sample.choices == {"A": "x", "B": "y"}


@given(st.data())
def test_damaged_pictures_are_problems_of_a_sample_and_nothing_else(data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"]))
    content = bytearray(picture(fmt=kind))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(EvaluationError):  # anything else fails the test
        part = bytes(content[: data.draw(st.integers(1, len(content)))])
        assert open_image(part, "x").mode == "RGB"


def test_pictures_that_need_another_program_are_not_opened():
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "EPS")
    with pytest.raises(EvaluationError, match="not a picture"):
        open_image(buffer.getvalue(), "x")
