"""Questions about one document, read and decoded together."""

from pathlib import Path

import pytest
import torch

from leopard.inference.engine import EngineOptions, LocalGenerator
from leopard.inference.loading import load_generator
from leopard.inference.shared_document import can_share
from leopard.schema.generation import GenerationRequest, SamplingOptions
from leopard.schema.messages import ImagePart, Message, TextPart
from tests.conftest import draw_page

VECTORS = Path(__file__).parents[1] / "parity" / "vectors"
QUESTIONS = ("Sum?", "What is the title of the first page?", "Name the largest cat.", "Who?")


@pytest.fixture(scope="module")
def shared(tiny_model_folder):
    return load_generator(tiny_model_folder)


def fresh(shared, **options):
    return LocalGenerator(
        shared.model, shared.processor, name="tiny", options=EngineOptions(**options)
    )


def about(pages, question, max_new_tokens=12, **sampling):
    message = Message("user", (*[ImagePart()] * len(pages), TextPart(question)))
    return GenerationRequest(
        messages=(message,),
        images=pages,
        sampling=SamplingOptions(max_new_tokens=max_new_tokens, **sampling),
    )


@pytest.fixture
def requests():
    pages = (draw_page(1), draw_page(2))
    other = (draw_page(3),)
    return [
        about(pages, QUESTIONS[0]),
        about(other, "Another document?"),
        about(pages, QUESTIONS[1], max_new_tokens=3),
        about(pages, QUESTIONS[2], temperature=0.9, seed=5),
        about((), "No document at all?"),
        about(pages, QUESTIONS[3]),
    ]


def lengths_of(model, monkeypatch):
    """Positions that each pass of the model reads."""
    lengths = []
    real = model.forward

    def counting(*args, **kwargs):
        given = kwargs.get("inputs_embeds")
        lengths.append(1 if given is None else given.shape[1])
        return real(*args, **kwargs)

    monkeypatch.setattr(model, "forward", counting)
    return lengths


@pytest.mark.parametrize("options", [{}, {"prefix_cache_bytes": 0}, {"max_batch_size": 2}])
def test_answers_are_those_given_alone(options, shared, requests):
    alone = [fresh(shared).generate([request])[0] for request in requests]
    together = fresh(shared, **options).generate(requests)
    assert [done.text for done in together] == [done.text for done in alone]
    assert [done.usage for done in together] == [done.usage for done in alone]
    assert [done.finish_reason for done in together] == [done.finish_reason for done in alone]
    backward = fresh(shared, **options).generate(requests[::-1])
    assert [done.text for done in backward[::-1]] == [done.text for done in alone]


def test_scores_are_those_given_alone(shared):
    pages = (draw_page(1), draw_page(2))
    generator = fresh(shared)
    rows = [generator.start(about(pages, question)) for question in QUESTIONS]
    assert generator._share_document(rows)
    state = generator._begin_shared(rows)
    for row, scores in zip(rows, state.logits, strict=True):
        single = fresh(shared)
        with torch.inference_mode():
            expected = single.reader.read([single.start(row.request)]).logits[0]
        assert torch.allclose(scores, expected, atol=1e-4)
        assert not torch.allclose(scores, state.logits.roll(1, 0)[0], atol=1e-4) or row is rows[-1]
    for _ in range(3):
        generator.advance(rows, state)
    for row in rows:
        single = fresh(shared)
        again = single.start(row.request)
        for _ in single.run([again]):
            pass
        assert again.tokens[: len(row.tokens)] == row.tokens


def test_the_document_is_read_once(shared, monkeypatch):
    pages = (draw_page(1), draw_page(2))
    generator = fresh(shared)
    encoded = []
    real = generator.model.get_image_features

    def counting(pixels, **kwargs):
        encoded.append(len(pixels))
        return real(pixels, **kwargs)

    monkeypatch.setattr(generator.model, "get_image_features", counting)
    lengths = lengths_of(generator.model, monkeypatch)
    done = generator.generate([about(pages, q, max_new_tokens=4) for q in QUESTIONS])
    document = done[0].usage.visual_tokens
    assert lengths[0] >= document
    assert lengths[1] == sum(one.usage.prompt_tokens - lengths[0] for one in done)
    assert lengths[2:] == [4, 4, 4], "one pass for all four questions"
    assert sum(encoded) == done[0].usage.crops


def test_finished_rows_are_read_no_more(shared, monkeypatch):
    pages = (draw_page(1),)
    generator = fresh(shared)
    lengths = lengths_of(generator.model, monkeypatch)
    generator.generate([about(pages, "One?", 2), about(pages, "Two?", 5)])
    assert lengths[2:] == [2, 1, 1, 1]


def test_the_next_batch_has_the_document_from_the_cache(shared):
    pages = (draw_page(1),)
    generator = fresh(shared, max_batch_size=2)
    generator.generate([about(pages, question) for question in QUESTIONS])
    assert (generator.prefix_cache.stats.misses, generator.prefix_cache.stats.hits) == (1, 1)


def test_a_document_too_long_for_a_batch_goes_question_by_question(shared):
    pages = (draw_page(1), draw_page(2))
    requests = [about(pages, question) for question in QUESTIONS]
    wide = [done.text for done in fresh(shared).generate(requests)]
    narrow = fresh(shared, max_batch_tokens=1)
    assert [done.text for done in narrow.generate(requests)] == wide


def test_kernels_without_free_masks_do_not_share(shared):
    assert can_share(shared.model)
    config = shared.model.config.get_text_config()
    before = config._attn_implementation
    try:
        config._attn_implementation = "flash_attention_2"
        assert not can_share(shared.model)
    finally:
        config._attn_implementation = before


def test_a_model_that_forgets_positions_does_not_share():
    windowed = load_generator(VECTORS / "leopard_idefics2_tiny")
    assert not can_share(windowed.model)
    pages = (draw_page(1),)
    requests = [about(pages, question, max_new_tokens=4) for question in QUESTIONS]
    alone = [fresh(windowed).generate([request])[0].text for request in requests]
    assert [done.text for done in fresh(windowed).generate(requests)] == alone
