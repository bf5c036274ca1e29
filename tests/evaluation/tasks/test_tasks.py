"""Every task reads its published format, scores a perfect run 1 and an empty run its floor."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from leopard.errors import EvaluationError
from leopard.evaluation.answers import parse_answer
from leopard.evaluation.samples import open_image
from leopard.evaluation.tasks import PAPER_TASKS, TASK_NAMES, get_task
from tests.evaluation.fixtures.builders import (
    BUILDERS,
    build,
    parquet,
    perfect,
    slidevqa_hub,
    synthetic,
)

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
    "longdocurl": 4,
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
    assert set(BUILDERS) == set(TASK_NAMES) == set(SIZES) == set(EDITS)
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


def rewrite(path, change):
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))


def without_image(path, column):
    """A parquet file whose first row that has a picture has an empty one."""
    rows = pq.read_table(path).to_pylist()
    next(row for row in rows if row[column])[column] = {"bytes": b"", "path": "x.png"}
    parquet(path, rows)


# What is taken from each fixture, the reason that the run then gives, and what a run that is
# perfect otherwise still scores.
EDITS = {
    "mpdocvqa": (lambda r: (r / "images/doc_p1.jpg").unlink(), "a file is missing", 1 / 2),
    "dude": (lambda r: (r / "images/val/abc_1.jpg").unlink(), "lacks pages", 0),
    "slidevqa": (
        lambda r: (r / "images/test/deck_a/talk-9-1024.jpg").unlink(),
        "19 slide images; 20 are needed",
        0,
    ),
    "multichartqa": (lambda r: (r / "data/group1/a.png").unlink(), "a file is missing", 1 / 2),
    "multihiertt": (
        lambda r: rewrite(r / "dev.json", lambda rows: rows[0].update(tables=[])),
        "has no table",
        1 / 2,
    ),
    "textvqa": (lambda r: (r / "train_images/img1.jpg").unlink(), "a file is missing", 0),
    "docvqa": (lambda r: (r / "documents/abc_1.png").unlink(), "a file is missing", 0),
    "visualwebbench": (
        lambda r: without_image(r / "webqa/test-00000-of-00001.parquet", "image"),
        "holds no image bytes",
        6 / 7,
    ),
    "mirb": (lambda r: (r / "images/1.png").unlink(), "a file is missing", 0),
    "mibench": (
        lambda r: rewrite(
            r / "subtle_difference.json", lambda rows: rows[0].update(answer="above")
        ),
        "is none of the options",
        1 / 2,
    ),
    "mmmu": (
        lambda r: without_image(r / "Art/validation-00000-of-00001.parquet", "image_2"),
        "holds no image bytes",
        1 / 2,
    ),
    "mathvista": (
        lambda r: without_image(r / "data/testmini-00000-of-00001.parquet", "decoded_image"),
        "holds no image bytes",
        2 / 3,
    ),
    "scienceqa": (
        lambda r: without_image(r / "data/test-00000-of-00001.parquet", "image"),
        "holds no image bytes",
        0,
    ),
    "mmlongbench": (
        lambda r: (r / "documents/a.pdf").write_bytes(b"no pdf"),
        "opened as a PDF",
        0,
    ),
    "longdocurl": (
        lambda r: (r / "pdf_pngs/4000-4999/4026/4026369_4.png").unlink(),
        "a file is missing",
        0,
    ),
    "chartqa": (lambda r: (r / "test/png/m.png").unlink(), "a file is missing", 1 / 2),
    "infographicvqa": (
        lambda r: (r / "infographicsvqa_images/10.jpeg").unlink(),
        "a file is missing",
        0,
    ),
    "tatqa": (
        lambda r: rewrite(
            r / "tatqa_dataset_dev.json", lambda rows: rows[0]["questions"][0].pop("answer")
        ),
        "KeyError 'answer'",
        2 / 3,
    ),
    "wikitablequestions": (
        lambda r: (r / "csv/204-csv/1.csv").unlink(),
        "a file is missing",
        1 / 2,
    ),
    "receipts": (lambda r: (r / "img/X001.jpg").unlink(), "a file is missing", 0),
    "synthetic": (lambda r: synthetic(r, seed=1), "scan simulation", 0),
}


@pytest.mark.parametrize("name", TASK_NAMES)
def test_sample_that_cannot_be_built_stays_in_the_denominator(name, tmp_path):
    folder = build(name, tmp_path)
    edit, reason, score = EDITS[name]
    edit(folder)
    task = get_task(name)
    samples = list(task.samples(folder))
    assert len(samples) == SIZES[name]
    broken = [sample for sample in samples if sample.problem]
    assert broken
    assert reason in broken[0].problem
    records = run(task, samples, perfect_or_nothing)
    assert len(records) == SIZES[name]
    assert task.total(records, task.primary) == pytest.approx(score)


def test_slides_of_the_hub_are_columns_of_a_row(tmp_path):
    slidevqa_hub(tmp_path)
    whole, torn = get_task("slidevqa").samples(tmp_path)
    assert [image.label for image in whole.images] == [f"deck_a, slide {n}" for n in range(1, 21)]
    assert len({image.read() for image in whole.images}) == 20
    assert whole.evidence == (2, 19)
    assert whole.source == "Multi-Hop"
    assert "19 slide images" in torn.problem


def test_windows_of_long_documents_count_pages_from_one_and_files_from_nought(loaded):
    sample = loaded("longdocurl")[0]
    assert [image.label[-5:] for image in sample.images] == ["3.png", "4.png", "5.png"]
    assert sample.evidence == (1,)


def test_silence_is_right_where_the_scorers_own_demonstration_says_not_answerable(tmp_path):
    folder = build("dude", tmp_path)
    change = {"answer_type": "not answerable", "answers": [""]}
    path = folder / "2023-03-23_DUDE_gt_test_PUBLIC.json"
    rewrite(path, lambda rows: rows["data"][2].update(change))
    task = get_task("dude")
    records = run(task, task.samples(folder), lambda _: "unanswerable")
    assert [record["scores"]["anls"] for record in records] == [0, 0, 1]


def test_demonstrations_stand_before_the_question_with_their_pictures(tmp_path):
    folder = build("mibench", tmp_path)
    sample = next(iter(get_task("mibench").samples(folder)))
    assert sample.question == "<image> Word? coffee\n<image> Word?"
    path = folder / "close_ended_vqa.json"
    rewrite(path, lambda rows: rows[0].update(context={"4": "?"}))
    assert "context is neither" in next(iter(get_task("mibench").samples(folder))).problem
    rewrite(path, lambda rows: rows[0].update(context=None))
    assert "1 image tags but 2" in next(iter(get_task("mibench").samples(folder))).problem


def test_more_tags_than_images_is_a_problem(tmp_path):
    folder = build("multichartqa", tmp_path)
    path = folder / "data/group1/chart-path_and_question-answer_pair.json"
    rewrite(path, lambda rows: rows[1].update(question="<image> or <image>?"))
    assert "2 image tags but 1" in list(get_task("multichartqa").samples(folder))[1].problem


OTHER_SPLITS = {
    "mpdocvqa": ("val.json", "test.json"),
    "slidevqa": ("annotations/qa/test.jsonl", "annotations/qa/dev.jsonl"),
    "multihiertt": ("dev.json", "train.json"),
    "mathvista": ("data/testmini-00000-of-00001.parquet", "data/test-00000-of-00002.parquet"),
    "scienceqa": ("data/test-00000-of-00001.parquet", "data/train-00000-of-00001.parquet"),
    "tatqa": ("tatqa_dataset_dev.json", "tatqa_dataset_train.json"),
}


@pytest.mark.parametrize("name", OTHER_SPLITS)
def test_another_split_is_not_taken_for_the_one_that_is_reported(name, tmp_path):
    folder = build(name, tmp_path)
    ours, other = (folder / file for file in OTHER_SPLITS[name])
    ours.rename(other)
    with pytest.raises(EvaluationError, match="holds no"):
        list(get_task(name).samples(folder))


def test_receipts_of_the_training_split_are_not_asked(tmp_path):
    build("receipts", tmp_path / "SROIE2019/train")
    (tmp_path / "SROIE2019/train/key/X001.json").rename(tmp_path / "SROIE2019/train/key/X000.json")
    assert len(list(get_task("receipts").samples(tmp_path))) == 3
    build("receipts", tmp_path / "SROIE2019/test")
    (tmp_path / "SROIE2019/train/img/X001.jpg").unlink()
    found = list(get_task("receipts").samples(tmp_path))
    assert {sample.doc_id for sample in found} == {"X001"}
    assert not any(sample.problem for sample in found)


def test_rows_of_another_split_of_dude_are_not_asked(tmp_path):
    folder = build("dude", tmp_path)
    path = folder / "2023-03-23_DUDE_gt_test_PUBLIC.json"
    rewrite(path, lambda rows: [row.update(data_split="train") for row in rows["data"]])
    with pytest.raises(EvaluationError, match="holds no sample of DUDE"):
        list(get_task("dude").samples(folder))


@pytest.mark.parametrize("content", ['{"rows": []}', "[1, 2]", '{"data": [3]}', "null"])
@pytest.mark.parametrize(("name", "file"), [("mpdocvqa", "val.json"), ("multihiertt", "dev.json")])
def test_an_annotation_of_another_layout_is_an_error_that_says_so(content, name, file, tmp_path):
    (tmp_path / file).write_text(content)
    with pytest.raises(EvaluationError, match=r"another layout than .* Get it from"):
        list(get_task(name).samples(tmp_path))


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
