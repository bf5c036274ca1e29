"""vLLM in this process: the same tokens as the local runtime, whatever was asked before."""

import pytest

from leopard.errors import BudgetError, ConfigError, ContextLengthError
from leopard.inference.vllm.generator import VllmGenerator, VllmOptions
from leopard.schema.geometry import ImageSize
from tests.inference.vllm.models import (
    DECKS,
    FOLDERS,
    PAGE,
    REQUESTS,
    SMALL,
    TALL,
    built,
    local_tokens,
    request,
)

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module", params=FOLDERS)
def model(request, tmp_path_factory):
    """A generator, and what the local runtime answers."""
    folder = built(request.param, tmp_path_factory.mktemp("vllm") / request.param)
    wanted = local_tokens(folder)
    generator = VllmGenerator(
        folder, options=VllmOptions(max_batch_size=4, max_model_len=2048, cache_bytes=2**28)
    )
    yield generator, wanted
    generator.close()


def play(batch, requests):
    """Answers of requests that join together, by key."""
    for key, one in requests.items():
        batch.join(key, one)
    running, ends = dict(batch._running), {}
    while len(batch):
        ends |= {news.key: news for news in batch.step() if news.is_last}
    tokens = {key: one.tokens for key, one in running.items()}
    return ends, tokens


def test_decks_get_the_tokens_of_the_local_runtime_one_after_another_and_together(model):
    generator, wanted = model
    requests = {name: REQUESTS[name] for name in DECKS}
    for name, one in requests.items():
        ends, tokens = play(generator.open_batch(), {name: one})
        assert tokens == {name: wanted[name]}
        usage = ends[name].generation.usage
        shares = generator.images.shares([ImageSize(*image.size) for image in one.images])
        assert usage.visual_tokens == sum(share.num_visual_tokens for share in shares)
        assert usage.crops == sum(share.num_crops for share in shares)
        assert usage.completion_tokens == len(tokens[name])
    _, tokens = play(generator.open_batch(), requests)
    assert tokens == {name: wanted[name] for name in DECKS}


def test_crops_come_from_the_cache_under_their_share_only(model):
    generator, _ = model
    images = (PAGE, TALL)
    processor = generator.engine.renderer.get_mm_processor()
    cache = generator.engine.renderer.mm_processor_cache
    assert cache is not None

    def inputs(pictures):
        ids, _ = generator.images.encode(request(pictures).messages, pictures)
        items = processor.info.parse_mm_data({"image": list(pictures)})
        return processor(ids, items, cache=cache)["mm_hashes"]["image"]

    alone, both, again = inputs(images[:1]), inputs(images), inputs(images[:1])
    assert alone == again
    assert alone[0] != both[0]
    assert all(cache.is_cached([*alone, *both]))


def test_text_is_that_of_the_stream_and_of_generate(model):
    generator, _ = model
    one = request((PAGE, SMALL))
    (whole,) = generator.generate([one])
    assert "".join(generator.stream(one)) == whole.text
    assert whole.finish_reason in ("stop", "length")


def test_special_tokens_that_a_user_typed_stay_text(model):
    generator, wanted = model
    _, tokens = play(generator.open_batch(), {"typed": REQUESTS["typed"]})
    assert tokens["typed"] == wanted["typed"]


def test_a_stop_text_ends_the_answer(model):
    generator, _ = model
    plain = generator.generate([request((PAGE,), max_new_tokens=40)])[0].text
    assert len(plain) > 6
    stop = plain[3:5]
    cut = generator.generate([request((PAGE,), max_new_tokens=40, stop=(stop,))])[0]
    assert cut.text == plain[: plain.index(stop)].rstrip()
    assert cut.finish_reason == "stop"
    assert not generator.engine.has_unfinished_requests()


def test_seeds_repeat_and_differ(model):
    generator, _ = model

    def tokens(seed):
        one = request((SMALL,), temperature=1.5, seed=seed)
        return play(generator.open_batch(), {"only": one})[1]["only"]

    assert tokens(1) == tokens(1)
    assert tokens(1) != tokens(2)


def test_requests_that_leave_free_their_place(model):
    generator, _ = model
    batch = generator.open_batch()
    for key in ("goes", "stays", "waits"):
        batch.join(key, request((PAGE,), max_new_tokens=60))
    batch.step()
    batch.leave("goes")
    batch.leave("waits")
    batch.leave("unknown")
    keys = set()
    while len(batch):
        keys |= {news.key for news in batch.step()}
    assert keys == {"stays"}
    assert not generator.engine.has_unfinished_requests()


def test_what_does_not_fit_is_refused_alone(model):
    generator, wanted = model
    bad = {"long": request((), "word " * 3000), "good": REQUESTS["alone"]}
    if generator.name == "tiled":
        bad["crowd"] = request((SMALL,) * 13)
    ends, tokens = play(generator.open_batch(), bad)
    assert isinstance(ends["long"].error, ContextLengthError)
    assert tokens["good"] == wanted["alone"]
    if "crowd" in bad:
        assert isinstance(ends["crowd"].error, BudgetError)


def test_placeholders_are_never_written(model):
    generator, _ = model
    requests = {
        str(seed): request((SMALL,), temperature=2.0, seed=seed, max_new_tokens=100)
        for seed in range(4)
    }
    _, tokens = play(generator.open_batch(), requests)
    written = {token for ids in tokens.values() for token in ids}
    assert len(written) > 20
    assert generator.images.image_token_id not in written


def test_wrong_options_are_said():
    with pytest.raises(ConfigError, match="must be at least 1"):
        VllmOptions(tensor_parallel=0)
