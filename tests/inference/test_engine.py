from dataclasses import replace

import pytest
import torch

from leopard.inference.engine import EngineOptions, LocalGenerator
from leopard.inference.loading import load_generator
from leopard.inference.row import VisualMemo
from leopard.schema.generation import GenerationRequest, Generator, SamplingOptions
from leopard.schema.messages import ImagePart, Message, TextPart
from tests.conftest import draw_page


@pytest.fixture(scope="module")
def shared(tiny_model_folder):
    return load_generator(tiny_model_folder)


@pytest.fixture
def generator(shared):
    return fresh(shared)


def fresh(generator, **options):
    """A generator of the same model with empty caches."""
    return LocalGenerator(
        generator.model, generator.processor, name="tiny", options=EngineOptions(**options)
    )


def ask(question, *seeds, **sampling):
    parts = (*[ImagePart() for _ in seeds], TextPart(question))
    return GenerationRequest(
        messages=(Message("user", parts),),
        images=tuple(draw_page(seed) for seed in seeds),
        sampling=SamplingOptions(**{"max_new_tokens": 12, **sampling}),
    )


REQUESTS = [
    ask("What is the title?", 1),
    ask("Compare the pages and say which one has more rows.", 1, 2, 3),
    ask("Name the largest cat."),
    ask("Sum?", 4, 4),
]


def test_local_generator_is_a_generator(generator):
    checked: Generator = generator
    assert checked.name == "tiny"


def test_cached_answer_equals_uncached(generator, shared):
    request = ask("What is the title?", 1, 2)
    first = generator.generate([request])[0]
    assert generator.prefix_cache.stats.hits == 0
    second = generator.generate([request])[0]
    assert generator.prefix_cache.stats.hits == 1
    assert generator.vision_cache.stats.hits > 0
    plain = fresh(shared, vision_cache_bytes=0, prefix_cache_bytes=0).generate([request])[0]
    assert first.text == second.text == plain.text
    assert first.text


def test_engine_agrees_with_generate_of_transformers(generator):
    request = REQUESTS[1]
    text = generator.generate([request])[0].text
    processor, model = generator.processor, generator.model
    inputs = processor(list(request.messages), images=list(request.images))
    ids = model.generate(**inputs, max_new_tokens=12, do_sample=False, pad_token_id=265)
    new = ids[0, inputs["input_ids"].shape[1] :]
    assert processor.tokenizer.decode(new, skip_special_tokens=True).strip() == text


@pytest.mark.parametrize("sampling", [{}, {"temperature": 0.8, "seed": 4, "top_p": 0.9}])
def test_alone_equals_batched(sampling, generator, shared):
    requests = [
        GenerationRequest(
            messages=request.messages,
            images=request.images,
            sampling=SamplingOptions(max_new_tokens=12, **sampling),
        )
        for request in REQUESTS
    ]
    together = [done.text for done in generator.generate(requests)]
    alone = [fresh(shared).generate([request])[0].text for request in requests]
    by_two = [done.text for done in fresh(shared, max_batch_size=2).generate(requests)]
    assert together == alone == by_two
    assert len(set(alone)) > 1


def test_results_come_in_request_order(generator):
    forward = generator.generate(REQUESTS)
    backward = generator.generate(REQUESTS[::-1])
    assert [done.text for done in forward] == [done.text for done in backward[::-1]]


def test_sampling_is_reproducible_and_depends_on_the_seed(generator):
    def texts(seed):
        return generator.generate([ask("Go", 1, temperature=1.5, seed=seed)])[0].text

    assert texts(1) == texts(1)
    assert len({texts(seed) for seed in range(4)}) > 1


@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.0, "seed": 9}])
def test_stream_joins_to_the_answer(sampling, generator):
    request = ask("What is the title?", 1, 2, **sampling)
    pieces = list(generator.stream(request))
    assert "".join(pieces) == generator.generate([request])[0].text
    assert len(pieces) > 1


def test_answer_depends_on_the_pixels(generator):
    logits = []
    for seed in (1, 2):
        row = generator.start(ask("What?", seed))
        with torch.inference_mode():
            logits.append(generator.reader.read([row]).logits)
    assert not torch.allclose(logits[0], logits[1], atol=1e-3)


def test_usage_counts_positions_and_crops(generator):
    done = generator.generate([ask("What?", 1, 2, max_new_tokens=3)])[0]
    plan = generator.processor.prepare(
        [Message("user", (ImagePart(), ImagePart(), TextPart("What?")))],
        [draw_page(1), draw_page(2)],
    ).plan
    assert done.usage.crops == plan.num_crops
    assert done.usage.visual_tokens == plan.visual_tokens
    assert done.usage.prompt_tokens > done.usage.visual_tokens
    assert done.usage.completion_tokens == 3
    assert done.finish_reason == "length"
    assert done.timings.total_s > 0


def test_equal_crops_of_one_request_are_encoded_once(generator, monkeypatch):
    encoded = []
    real = generator.model.get_image_features

    def counting(pixels, **kwargs):
        encoded.append(len(pixels))
        return real(pixels, **kwargs)

    monkeypatch.setattr(generator.model, "get_image_features", counting)
    generator.generate([ask("Same?", 7, 7, 7)])
    crops = generator.processor.prepare(
        [Message("user", (ImagePart(),) * 3)], [draw_page(7)] * 3
    ).plan.num_crops
    assert sum(encoded) == crops // 3
    generator.generate([ask("Again?", 7, 7, 7)])
    assert sum(encoded) == crops // 3


def test_second_question_reads_only_the_question(generator, monkeypatch):
    generator.generate([ask("First?", 1, 2)])
    lengths = []
    real = generator.model.forward

    def counting(*args, **kwargs):
        given = kwargs.get("inputs_embeds")
        lengths.append(1 if given is None else given.shape[1])
        return real(*args, **kwargs)

    monkeypatch.setattr(generator.model, "forward", counting)
    done = generator.generate([ask("Second question?", 1, 2)])[0]
    assert lengths[0] < done.usage.prompt_tokens - done.usage.visual_tokens


def test_changed_weights_make_caches_miss(shared):
    generator = fresh(shared)
    request = ask("What?", 1)
    generator.generate([request])
    weight = generator.model.model.connector.linear_1.bias
    with torch.no_grad():
        weight.add_(0.5)
    generator.generate([request])
    assert generator.prefix_cache.stats.hits == 0
    assert generator.vision_cache.stats.hits == 0
    with torch.no_grad():
        weight.sub_(0.5)


def test_visual_memo_spares_the_encoder(generator, monkeypatch):
    memo = VisualMemo()
    generator.start(ask("First?", 1), memo)
    monkeypatch.setattr(generator.encoder, "looking", pytest.fail)
    row = generator.start(ask("Second?", 1), memo)
    assert row.visuals is memo.visuals


def test_images_known_by_name_are_not_cut_again(shared, monkeypatch):
    generator = fresh(shared)
    plain = ask("What?", 1, 2)
    named = replace(plain, image_names=("one", "two"))
    expected = generator.generate([plain])[0].text
    assert generator.generate([named])[0].text == expected
    real = generator.encoder._units
    monkeypatch.setattr(generator.encoder, "_units", pytest.fail)
    assert generator.generate([named])[0].text == expected
    monkeypatch.setattr(generator.encoder, "_units", real)
    other = replace(ask("What?", 2, 1), image_names=("two", "one"))
    assert generator.generate([other])[0].text == fresh(shared).generate([other])[0].text


def test_named_images_are_cut_again_when_the_cache_forgot_them(shared):
    generator = fresh(shared)
    named = replace(ask("What?", 1, 2), image_names=("one", "two"))
    expected = generator.generate([named])[0].text
    generator.vision_cache.clear()
    generator.prefix_cache.clear()
    assert generator.generate([named])[0].text == expected
    uncached = fresh(shared, vision_cache_bytes=0)
    assert [uncached.generate([named])[0].text for _ in range(2)] == [expected] * 2


def test_every_image_needs_a_name_or_none():
    with pytest.raises(AssertionError, match="one name"):
        replace(ask("What?", 1, 2), image_names=("one",))


def test_stop_tokens_come_from_checkpoint_and_tokenizer(generator):
    assert generator.stop_tokens == {257, 265}


def test_answer_ends_at_a_stop_token(generator):
    request = ask("What is the title?", 1)
    row = generator.start(request)
    for _ in generator.run([row]):
        pass
    assert len(row.tokens) > 3
    cut = fresh(generator)
    cut.stop_tokens = frozenset({row.tokens[3]})
    again = cut.start(request)
    for _ in cut.run([again]):
        pass
    first = row.tokens.index(row.tokens[3])
    assert again.tokens == row.tokens[: first + 1]
    assert again.finish_reason == "stop"


def test_stop_text_ends_the_answer_and_is_not_in_it(generator):
    whole = generator.generate([ask("What is the title?", 1)])[0].text
    stop = whole[len(whole) // 2 :][:2]
    request = ask("What is the title?", 1, stop=(stop,))
    done = generator.generate([request])[0]
    assert done.text == whole[: whole.index(stop)].rstrip()
    assert done.finish_reason == "stop"
    assert "".join(generator.stream(request)) == done.text


def test_no_requests_give_no_answers(generator):
    assert generator.generate([]) == []


def test_placeholders_are_never_written(generator):
    forced = ask("x", temperature=50.0, seed=1, max_new_tokens=200)
    row = generator.start(forced)
    for _ in generator.run([row]):
        pass
    assert 456 not in row.tokens


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_small_reading_encoder_and_other_number_types_answer(dtype, shared):
    from leopard.model import LeopardConfig
    from leopard.model.dummy import build_dummy
    from leopard.model.reader_config import LeopardReaderConfig

    reader = LeopardReaderConfig(
        image_size=56,
        patch_size=28,
        hidden_size=16,
        conv_channels=8,
        num_conv_blocks=1,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    config = LeopardConfig(
        vision_config=reader,
        text_config=shared.model.config.text_config,
        image_token_id=456,
        shuffle_factor=1,
    )
    generator = LocalGenerator(build_dummy(config, dtype=dtype), shared.processor)
    request = ask("What?", 1)
    first, second = generator.generate([request])[0], generator.generate([request])[0]
    assert first.text == second.text
    assert first.usage.visual_tokens > 0
