"""Every task reads its published format, scores a perfect run 1 and an empty run its floor."""

import json
import shutil

import pytest

from leopard.errors import EvaluationError
from leopard.evaluation.answers import parse_answer
from leopard.evaluation.samples import open_image
from leopard.evaluation.tasks import PAPER_TASKS, TASK_NAMES, get_task
from tests.evaluation.fixtures.builders import BUILDERS, build, perfect

FLOORS = {"dude": 1 / 3, "mmlongbench": 0.0, "synthetic": 0.0}
"""DUDE takes silence for "there is no answer"."""
SIZES = {
    "mpdocvqa": 2,
    "dude": 3,
    "slidevqa": 1,
    "multichartqa": 2,
    "multihiertt": 2,
    "textvqa": 1,
    "docvqa": 1,
    "visualwebbench": 7,
    "mirb": 3,
    "mibench": 4,
    "mmmu": 2,
    "mathvista": 3,
    "scienceqa": 1,
    "mmlongbench": 3,
    "longdocurl": 1,
    "chartqa": 2,
    "infographicvqa": 1,
    "tatqa": 3,
    "wikitablequestions": 2,
    "receipts": 3,
    "synthetic": 3,
}


def run(task, samples, respond):
    records = []
    for sample in samples:
        answer = parse_answer(respond(sample))
        outcomes = task.score(sample, answer)
        records.append(
            {
                "id": sample.id,
                "doc_id": sample.doc_id,
                "source": sample.source,
                "answer_type": sample.answer_type,
                "answers": list(sample.answers),
                "parsed": answer.text,
                "scores": {name: outcome.value for name, outcome in outcomes.items()},
            }
        )
    return records


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    cache = {}

    def load(name):
        if name not in cache:
            folder = build(name, tmp_path_factory.mktemp(name))
            cache[name] = list(get_task(name).samples(folder))
        return cache[name]

    return load


def test_every_task_has_a_fixture():
    assert set(BUILDERS) == set(TASK_NAMES) == set(SIZES)
    assert len(PAPER_TASKS) == 13
    with pytest.raises(EvaluationError, match="mpdocvqa"):
        get_task("blue")


@pytest.mark.parametrize("name", TASK_NAMES)
def test_fixture_loads_with_readable_images(name, loaded):
    samples = loaded(name)
    assert [sample.problem for sample in samples] == [""] * SIZES[name]
    assert len({sample.id for sample in samples}) == len(samples)
    for sample in samples:
        assert sample.question.count("<image>") <= len(sample.images)
        assert all(open_image(image.read(), image.label).mode == "RGB" for image in sample.images)
        assert all(0 <= page < len(sample.images) for page in sample.evidence or ())


@pytest.mark.parametrize("name", TASK_NAMES)
def test_perfect_run_scores_one(name, loaded):
    task = get_task(name)
    records = run(task, loaded(name), perfect)
    assert task.total(records, task.primary) == pytest.approx(1.0, abs=1e-6)
    assert {score for record in records for score in record["scores"]} == set(task.scorers)
    for value in task.extras.values():
        assert value(records) == pytest.approx(1.0)


@pytest.mark.parametrize("name", TASK_NAMES)
def test_empty_run_scores_its_floor(name, loaded):
    task = get_task(name)
    records = run(task, loaded(name), lambda _: "")
    assert task.total(records, task.primary) == pytest.approx(FLOORS.get(name, 0.0))
    assert task.total([], task.primary) == 0.0


@pytest.mark.parametrize("name", TASK_NAMES)
def test_missing_data_says_where_to_get_it(name, tmp_path):
    with pytest.raises(
        EvaluationError, match=r"Get it|Get annotations|Get SROIE|leopard curate|holds none"
    ):
        list(get_task(name).samples(tmp_path / "absent" if name != "mirb" else tmp_path))


@pytest.mark.parametrize("name", TASK_NAMES)
def test_task_says_what_it_expects_and_under_which_terms(name):
    task = get_task(name)
    assert task.expects
    assert any(
        word in task.where
        for word in ("CC", "GPL", "licence", "MIT", "terms", "Apache", "research")
    )


def test_zip_is_read_like_a_folder(tmp_path):
    folder = build("mpdocvqa", tmp_path / "mp")
    archive = shutil.make_archive(str(tmp_path / "mp"), "zip", folder)
    samples = list(get_task("mpdocvqa").samples(archive))
    assert [len(sample.images) for sample in samples] == [3, 2]
    assert open_image(samples[0].images[0].read(), "x").size == (48, 32)


def test_pages_keep_the_order_of_the_record(loaded):
    first, second = loaded("mpdocvqa")
    assert [image.label for image in second.images] == ["images/doc_p2.jpg", "images/doc_p0.jpg"]
    assert first.evidence == (1,)
    dude = loaded("dude")[0]
    assert [image.label[-5:] for image in dude.images] == ["0.jpg", "1.jpg", "2.jpg"]
    assert dude.evidence == (2,)
    slides = loaded("slidevqa")[0]
    assert [image.label.split("-")[1] for image in slides.images] == [str(i) for i in range(1, 21)]
    assert [image.label for image in loaded("multichartqa")[1].images] == ["data/group1/b.png"]


def test_images_of_mmmu_follow_their_references(loaded):
    sample = loaded("mmmu")[0]
    assert sample.question.startswith("See <image> and <image>; what is image 1?")
    assert [image.label[-1] for image in sample.images] == ["2", "1"]
    assert sample.question.count("<image>") == 2


def test_multihiertt_draws_tables_before_paragraphs(loaded):
    sample = loaded("multihiertt")[0]
    assert len(sample.images) == 3
    assert sample.evidence == (1,)
    assert sample.answers == ("12.5",)


def test_circular_choices_must_all_be_right(loaded):
    task = get_task("mibench")
    always_a = run(task, loaded("mibench"), lambda s: "A" if s.options else "tea")
    assert task.total(always_a, "circular") == 0.5
    assert [s.answers[0] for s in loaded("mibench") if s.options] == ["B", "A", "C"]


@pytest.mark.parametrize(
    ("name", "edit", "reason"),
    [
        ("mpdocvqa", lambda r: (r / "images/doc_p1.jpg").unlink(), "missing file"),
        ("dude", lambda r: (r / "images/val/abc_1.jpg").unlink(), "lacks pages"),
        ("slidevqa", lambda r: (r / "images/test/deck_a/talk-9-1024.jpg").unlink(), "19 slide"),
        (
            "mmlongbench",
            lambda r: (r / "documents/a.pdf").write_bytes(b"no pdf"),
            "opened as a PDF",
        ),
        ("docvqa", lambda r: (r / "documents/abc_1.png").unlink(), "missing file"),
    ],
)
def test_sample_that_cannot_be_built_stays_in_the_denominator(name, edit, reason, tmp_path):
    folder = build(name, tmp_path)
    edit(folder)
    task = get_task(name)
    samples = list(task.samples(folder))
    assert len(samples) == SIZES[name]
    broken = [sample for sample in samples if sample.problem]
    assert broken
    assert reason in broken[0].problem
    records = run(task, samples, perfect_or_nothing)
    expected = (len(samples) - len(broken)) / len(samples)
    assert task.total(records, task.primary) == pytest.approx(expected)


def perfect_or_nothing(sample):
    return "" if sample.problem else perfect(sample)


def test_records_of_the_wrong_shape_are_listed(tmp_path):
    folder = build("mpdocvqa", tmp_path)
    rows = json.loads((folder / "val.json").read_text())
    rows["data"][0].pop("page_ids")
    rows["data"][1]["answer_page_idx"] = 7
    (folder / "val.json").write_text(json.dumps(rows))
    problems = [sample.problem for sample in get_task("mpdocvqa").samples(folder)]
    assert "KeyError 'page_ids'" in problems[0]
    assert "answer_page_idx 7 but 2 pages" in problems[1]


def test_repeated_ids_are_refused(tmp_path):
    folder = build("mpdocvqa", tmp_path)
    rows = json.loads((folder / "val.json").read_text())
    rows["data"][1]["questionId"] = 1
    (folder / "val.json").write_text(json.dumps(rows))
    with pytest.raises(EvaluationError, match="occurs twice"):
        list(get_task("mpdocvqa").samples(folder))


def test_selected_rows_of_rendered_tables(tmp_path):
    folder = build("tatqa", tmp_path)
    (folder / "samples.jsonl").write_text(json.dumps({"id": "q2"}) + "\n")
    assert [sample.id for sample in get_task("tatqa").samples(folder)] == ["q2"]
