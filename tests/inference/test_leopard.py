import PIL.Image
import pytest

from leopard import Leopard
from leopard.errors import DocumentError, LeopardError, PromptError
from leopard.inference.leopard import Answer, question_about
from leopard.schema.generation import SamplingOptions
from leopard.schema.messages import ImagePart, TextPart
from leopard.schema.pages import Page
from tests.conftest import draw_page

SHORT = SamplingOptions(max_new_tokens=8)


@pytest.fixture(scope="module")
def leopard(tiny_model_folder):
    return Leopard.from_pretrained(tiny_model_folder)


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"page{seed}.png" for seed in (1, 2)]
    for seed, path in enumerate(paths, start=1):
        draw_page(seed).save(path)
    return paths


def test_ask_reads_files_and_answers(leopard, files):
    answer = leopard.ask(files, "What is the title?", sampling=SHORT)
    assert answer.text
    assert [page.source for page in answer.pages] == [str(path) for path in files]
    assert answer.usage.completion_tokens <= 8
    assert answer.timings.vision_s > 0
    assert answer.model == "tiny"


def test_files_images_and_pages_are_all_understood(leopard, files):
    page = Page(draw_page(1), "given", 1, 1)
    texts = {
        leopard.ask(one, "What?", sampling=SHORT).text
        for one in (files[0], str(files[0]), draw_page(1), page, [page])
    }
    assert len(texts) == 1


def test_order_of_mixed_sources_is_kept(leopard, files):
    page = Page(draw_page(3), "given", 1, 1)
    loaded = leopard.load([files[1], page, files[0]])
    assert [item.source for item in loaded.pages] == [str(files[1]), "given", str(files[0])]


def test_stream_joins_to_the_answer(leopard, files):
    stream = leopard.stream(files, "What is the title?", sampling=SHORT)
    pieces = list(stream)
    assert "".join(pieces) == stream.answer.text
    assert stream.answer.text == leopard.ask(files, "What is the title?", sampling=SHORT).text


def test_second_question_on_an_open_document_encodes_nothing(leopard, files, monkeypatch):
    session = leopard.open(files)
    first = session.ask("What?", sampling=SHORT)
    monkeypatch.setattr(leopard.model, "get_image_features", pytest.fail)
    leopard.generator.vision_cache.clear()
    second = session.ask("Why?", sampling=SHORT)
    assert first.pages == second.pages
    monkeypatch.undo()
    assert second.text == leopard.ask(files, "Why?", sampling=SHORT).text


def test_many_questions_answer_like_single_ones_and_report_bad_files(leopard, files, tmp_path):
    bad = tmp_path / "bad.pdf"
    bad.write_bytes(b"no pdf")
    results = leopard.ask_many(
        [(files, "What?"), (bad, "What?"), (files[0], "How many rows are there?")], sampling=SHORT
    )
    assert isinstance(results[1], DocumentError)
    for result, (what, question) in zip(
        results[::2], [(files, "What?"), (files[0], "How many rows are there?")], strict=True
    ):
        assert isinstance(result, Answer)
        assert result.text == leopard.ask(what, question, sampling=SHORT).text


def test_question_without_files_is_answered(leopard):
    answer = leopard.ask([], "Name a cat.", sampling=SHORT)
    assert answer.usage.visual_tokens == 0
    assert answer.pages == ()


def test_bad_file_raises_with_its_name(leopard, tmp_path):
    with pytest.raises(LeopardError, match=r"nowhere\.pdf"):
        leopard.ask(tmp_path / "nowhere.pdf", "What?")


def test_empty_question_is_refused(leopard, files):
    with pytest.raises(PromptError, match="empty"):
        leopard.ask(files, "  ")


def test_images_come_first_or_where_the_question_marks_them():
    assert question_about("Why?", 2).parts == (ImagePart(), ImagePart(), TextPart("Why?"))
    marked = question_about("See <image> and <image>.", 2).parts
    assert [type(part) for part in marked] == [TextPart, ImagePart, TextPart, ImagePart, TextPart]


def test_published_instruction_follows_on_its_own_line():
    text = question_about("Why?", 1, instruction="direct").parts[-1].text
    assert text == "Why?\nAnswer the question using a single word or phrase."


def test_answer_as_plain_values(leopard, files):
    values = leopard.ask(files[0], "What?", sampling=SHORT).to_dict()
    assert values["pages"] == [{"source": str(files[0]), "page": 1}]
    assert set(values["timings_s"]) == {"preprocess", "vision", "first_token", "decode", "total"}
    assert values["usage"]["crops"] > 0


def test_idefics2_answers_through_the_same_facade():
    from tests.parity.cases import IDEFICS2_FOLDER, cases, open_images

    leopard = Leopard.from_pretrained(IDEFICS2_FOLDER, dtype="float32")
    case = cases("idefics2")["one_tall"]
    first = leopard.ask(open_images(case), "What?", sampling=SHORT)
    again = leopard.ask(open_images(case), "What?", sampling=SHORT)
    assert first.text == again.text
    assert first.usage.visual_tokens == 64
    assert leopard.generator.vision_cache.stats.hits == 1


def test_pages_beyond_the_budget_are_reported_when_dropping_is_allowed(tiny_model_folder):
    images = [draw_page(seed) for seed in range(5)]
    strict = Leopard.from_pretrained(tiny_model_folder, processor_settings={"max_crops": 3})
    with pytest.raises(LeopardError, match="5 images"):
        strict.ask(images, "What?", sampling=SHORT)
    lenient = Leopard.from_pretrained(
        tiny_model_folder, processor_settings={"max_crops": 3, "on_too_many_images": "first"}
    )
    answer = lenient.ask(images, "What?", sampling=SHORT)
    assert len(answer.pages) == 3
    assert len(answer.dropped_pages) == 2


def test_idefics2_takes_no_crop_settings():
    from tests.parity.cases import IDEFICS2_FOLDER

    with pytest.raises(LeopardError, match="policy"):
        Leopard.from_pretrained(IDEFICS2_FOLDER, processor_settings={"policy": "fill"})


def test_looking_is_watched_chunk_by_chunk(
    leopard: Leopard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leopard.model.config, "vision_chunk_size", 2)
    pages = [PIL.Image.effect_noise((1400, 1800), 90 + n).convert("RGB") for n in range(3)]
    session = leopard.open(pages)
    seen: list[int] = []
    session.stream("What is it?", watch=lambda: seen.append(1)).answer  # noqa: B018
    assert 0 < len(seen) <= session.num_chunks
