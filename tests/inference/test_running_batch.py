import random

import pytest
import torch

from leopard.errors import GenerationError
from leopard.inference.engine import EngineOptions, LocalGenerator
from leopard.inference.fake import FakeGenerator
from leopard.inference.loading import load_generator
from leopard.schema.generation import (
    BatchGenerator,
    GenerationRequest,
    RunningBatch,
    SamplingOptions,
)
from leopard.schema.messages import ImagePart, Message, TextPart
from tests.conftest import draw_page

PAGES = {seed: draw_page(seed) for seed in range(6)}


@pytest.fixture(scope="module")
def shared(tiny_model_folder):
    return load_generator(tiny_model_folder)


def fresh(generator, **options):
    return LocalGenerator(
        generator.model, generator.processor, name="tiny", options=EngineOptions(**options)
    )


def ask(question, *seeds, **sampling):
    parts = (*[ImagePart() for _ in seeds], TextPart(question))
    return GenerationRequest(
        messages=(Message("user", parts),),
        images=tuple(PAGES[seed] for seed in seeds),
        sampling=SamplingOptions(**{"max_new_tokens": 16, **sampling}),
    )


REQUESTS = {
    "title": ask("What is the title?", 1),
    "three": ask("Compare the pages and say which one has more rows.", 1, 2, 3),
    "text": ask("Name the largest cat."),
    "twice": ask("Sum?", 4, 4, max_new_tokens=40),
    "short": ask("Yes?", 2, max_new_tokens=1),
    "sampled": ask("Go on", 5, temperature=0.9, seed=3, top_p=0.9),
    "again": ask("And the second row?", 1, 2, 3),
}


@pytest.fixture(scope="module")
def alone(shared):
    return {key: fresh(shared).generate([request])[0].text for key, request in REQUESTS.items()}


def play(batch, arrivals, leaving=None):
    """Run a batch: requests arrive and leave at given steps; texts and ends by key."""
    texts, ends, number = {}, {}, 0
    while arrivals or len(batch):
        for key in [key for key, at in arrivals.items() if at <= number]:
            if len(batch) < batch.capacity:
                batch.join(key, REQUESTS[key])
                del arrivals[key]
        for key in [key for key, at in (leaving or {}).items() if at == number]:
            batch.leave(key)
        for item in batch.step():
            assert item.key not in ends
            texts[item.key] = texts.get(item.key, "") + item.text
            if item.is_last:
                ends[item.key] = item
        number += 1
        assert number < 500
    return texts, ends


def test_batches_look_as_the_schema_says(shared):
    generators: list[BatchGenerator] = [shared, FakeGenerator()]
    batches: list[RunningBatch] = [one.open_batch() for one in generators]
    assert all(len(batch) == 0 and batch.capacity > 0 for batch in batches)
    assert [batch.step() for batch in batches] == [[], []]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("options", [{}, {"max_batch_tokens": 200}, {"prefix_cache_bytes": 0}])
def test_answers_do_not_depend_on_who_joins_and_leaves(seed, options, shared, alone):
    rng = random.Random(seed)
    generator = fresh(shared, **options)
    arrivals = {key: rng.randrange(25) for key in rng.sample(list(REQUESTS), len(REQUESTS))}
    given_up = rng.choice(list(REQUESTS))
    leaving = {given_up: arrivals[given_up] + rng.randrange(1, 12)}
    texts, ends = play(generator.open_batch(), arrivals, leaving)
    for key in REQUESTS:
        if key in ends:
            assert ends[key].error is None
            assert texts[key] == ends[key].generation.text == alone[key]
        else:
            assert key == given_up
            assert alone[key].startswith(texts.get(key, ""))


def test_every_request_is_decoded_in_few_passes(shared, monkeypatch):
    generator = fresh(shared)
    widths = []
    real = generator.advance

    def counting(rows, state):
        widths.append(len(rows))
        real(rows, state)

    monkeypatch.setattr(generator, "advance", counting)
    play(generator.open_batch(), dict.fromkeys(REQUESTS, 0))
    assert max(widths) > 3


def test_capacity_is_that_of_the_engine(shared):
    batch = fresh(shared, max_batch_size=2).open_batch()
    assert batch.capacity == 2
    _, ends = play(batch, dict.fromkeys(REQUESTS, 0))
    assert set(ends) == set(REQUESTS)


def test_short_question_does_not_wait_for_a_long_document(shared, monkeypatch):
    generator = fresh(shared)
    monkeypatch.setattr(generator.model.config, "vision_chunk_size", 1)
    batch = generator.open_batch()
    batch.join("three", REQUESTS["three"])
    batch.join("text", REQUESTS["text"])
    order = []
    while len(batch):
        order += [item.key for item in batch.step() if item.is_last]
    assert order == ["text", "three"]


def test_same_document_is_encoded_once_for_two_questions(shared, monkeypatch):
    generator = fresh(shared)
    monkeypatch.setattr(generator.model.config, "vision_chunk_size", 1)
    encoded = []
    real = generator.model.get_image_features

    def counting(pixels, **kwargs):
        encoded.append(len(pixels))
        return real(pixels, **kwargs)

    monkeypatch.setattr(generator.model, "get_image_features", counting)
    play(generator.open_batch(), {"three": 0, "again": 0})
    distinct = sum(encoded)
    encoded.clear()
    fresh(generator).generate([REQUESTS["three"]])
    assert distinct == sum(encoded)


def test_bad_request_fails_alone(shared, alone):
    REQUESTS["bad"] = GenerationRequest(messages=(Message("user", (ImagePart(),)),), images=())
    try:
        texts, ends = play(fresh(shared).open_batch(), {"bad": 0, "text": 0, "title": 1})
    finally:
        del REQUESTS["bad"]
    assert ends["bad"].error is not None
    assert (texts["text"], texts["title"]) == (alone["text"], alone["title"])


def test_scores_that_are_no_numbers_fail_one_row(shared, alone, monkeypatch):
    generator = fresh(shared)
    real = generator._choose

    def spoiling(rows, logits):
        for row, scores in zip(rows, logits, strict=True):
            if "largest" in str(row.request.messages) and len(row.tokens) == 3:
                scores.fill_(torch.nan)
        real(rows, logits)

    monkeypatch.setattr(generator, "_choose", spoiling)
    texts, ends = play(generator.open_batch(), {"text": 0, "title": 0})
    assert isinstance(ends["text"].error, GenerationError)
    assert texts["title"] == alone["title"]
    with pytest.raises(GenerationError, match="not numbers"):
        generator.generate([REQUESTS["text"]])
    with pytest.raises(GenerationError, match="not numbers"):
        list(generator.stream(REQUESTS["text"]))


def test_sliding_windows_are_decoded_one_by_one(shared, alone, monkeypatch):
    from leopard.inference.decoding_state import DecodingState

    monkeypatch.setattr(DecodingState, "is_joinable", property(lambda self: False))
    texts, _ = play(fresh(shared).open_batch(), dict.fromkeys(REQUESTS, 0))
    assert texts == alone


def test_unknown_request_may_leave(shared):
    batch = shared.open_batch()
    batch.leave("nobody")
    assert len(batch) == 0


def test_fake_batch_writes_word_by_word():
    batch = FakeGenerator("one two three").open_batch()
    batch.join("a", REQUESTS["text"])
    items = []
    while len(batch):
        items += batch.step()
    assert [item.text for item in items] == ["one ", "two ", "three", ""]
    assert items[-1].generation.text == "one two three"
