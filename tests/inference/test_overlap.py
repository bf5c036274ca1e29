"""Pages are drawn and cut while earlier ones are encoded."""

import threading
from pathlib import Path

import pytest

from leopard import Leopard
from leopard.documents.pdf import PDFDocument
from leopard.errors import DocumentFormatError
from leopard.inference.memory import page_bytes
from leopard.schema.generation import SamplingOptions
from tests.documents.conftest import pdf_bytes

SHORT = SamplingOptions(max_new_tokens=8)
PAGES = 10


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    path = tmp_path / "deck.pdf"
    path.write_bytes(pdf_bytes(PAGES, 300, 300))
    return path


@pytest.fixture
def leopard(tiny_model_folder: Path) -> Leopard:
    """Looks at one crop at a time, and sees of each of the pages its thumbnail alone."""
    leopard = Leopard.from_pretrained(tiny_model_folder, processor_settings={"max_crops": PAGES})
    leopard.model.config.vision_chunk_size = 1
    return leopard


class _Log:
    """What was drawn and what was encoded, in order."""

    def __init__(self, leopard: Leopard, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[str] = []
        self.threads: set[str] = set()
        self.torn = 0
        draw, encode = PDFDocument.render, leopard.model.get_image_features

        def drawing(document, number, size):
            self.threads.add(threading.current_thread().name)
            self.events.append("draw")
            if number == self.torn:
                raise DocumentFormatError(
                    "torn", source=document.source, page=number, remedy="mend it"
                )
            return draw(document, number, size)

        def encoding(pixels, **kwargs):
            self.events.append("encode")
            return encode(pixels, **kwargs)

        monkeypatch.setattr(PDFDocument, "render", drawing)
        monkeypatch.setattr(leopard.model, "get_image_features", encoding)

    def most_ahead(self) -> int:
        """Most pages that were drawn and not yet encoded when the next was begun."""
        ahead, most = 0, 0
        for event in self.events:
            ahead += 1 if event == "draw" else -1
            most = max(most, ahead)
        return most


@pytest.fixture
def log(leopard: Leopard, monkeypatch: pytest.MonkeyPatch) -> _Log:
    return _Log(leopard, monkeypatch)


def ahead_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "leopard-ahead"]


def test_answer_is_that_of_pages_drawn_before(leopard: Leopard, pdf: Path) -> None:
    expected = leopard.open(pdf).ask("What is it?", sampling=SHORT)
    leopard.generator.vision_cache.clear()
    leopard.generator.prefix_cache.clear()
    answer = leopard.ask(pdf, "What is it?", sampling=SHORT)
    assert answer.text == expected.text
    assert answer.usage == expected.usage
    assert [page.number for page in answer.pages] == list(range(1, PAGES + 1))
    (several,) = leopard.ask_many([(pdf, "What is it?")], sampling=SHORT)
    assert several.text == expected.text


def test_pages_are_drawn_in_one_thread_a_bounded_number_ahead(
    leopard: Leopard, pdf: Path, log: _Log
) -> None:
    leopard.ask(pdf, "What?", sampling=SHORT)
    assert log.events.count("draw") == log.events.count("encode") == PAGES
    assert log.threads == {"leopard-ahead"}
    # One crop is being encoded, one waits, one is to be put beside it, one is being drawn.
    assert log.most_ahead() <= 4
    assert log.events.index("encode") < PAGES - 1
    assert ahead_threads() == []


def test_error_of_a_page_is_raised_and_leaves_no_thread(
    leopard: Leopard, pdf: Path, log: _Log
) -> None:
    log.torn = 6
    with pytest.raises(DocumentFormatError, match="page 6: torn"):
        leopard.ask(pdf, "What?", sampling=SHORT)
    assert log.events.count("draw") == 6
    assert ahead_threads() == []


def test_giving_up_ends_the_drawing(leopard: Leopard, pdf: Path, log: _Log) -> None:
    session = leopard.open_pages(leopard.load(pdf, later=True).pages)

    def give_up() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.stream("What?", watch=give_up)
    assert ahead_threads() == []
    assert log.events.count("draw") <= 4
    # What was drawn is kept, and the rest can be drawn for the next question.
    assert session.ask("What?", sampling=SHORT).text
    assert log.events.count("draw") == PAGES


def test_request_that_leaves_a_batch_draws_no_more(leopard: Leopard, pdf: Path, log: _Log) -> None:
    batch = leopard.generator.open_batch()
    session = leopard.open_pages(leopard.load(pdf, later=True).pages)
    batch.join("one", session.request("What?"))
    batch.step()
    assert len(ahead_threads()) == 1
    batch.leave("one")
    assert ahead_threads() == []
    assert log.events.count("draw") <= 4


def test_memory_of_pages_to_be_drawn_is_not_there_yet(leopard: Leopard, pdf: Path) -> None:
    generator = leopard.generator
    session = leopard.open_pages(leopard.load(pdf, later=True).pages)
    request = session.request("What?")
    before = generator.encoder.demand(generator.encoder.prepare(request), 8)
    assert before.undrawn == before.sizes
    assert page_bytes(before.undrawn) == 4 * sum(page.size.area for page in session.pages)
    generator.start(request)
    after = generator.encoder.demand(generator.encoder.prepare(request), 8)
    assert (after.sizes, after.undrawn) == (before.sizes, ())


def test_images_left_out_are_never_drawn(tiny_model_folder: Path, pdf: Path, monkeypatch) -> None:
    leopard = Leopard.from_pretrained(
        tiny_model_folder, processor_settings={"max_crops": 3, "on_too_many_images": "first"}
    )
    log = _Log(leopard, monkeypatch)
    answer = leopard.ask(pdf, "What?", sampling=SHORT)
    assert log.events.count("draw") == 3
    assert len(answer.dropped_pages) == PAGES - 3
    # Their pictures can still be had.
    assert answer.dropped_pages[0].image.tobytes()
