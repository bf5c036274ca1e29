"""The decoder of ONNX Runtime against the one of torch, on the same weights."""

import copy
import gc

import pytest
import torch

from leopard.errors import GenerationError
from leopard.inference.decoders import TorchDecoder
from leopard.inference.decoding_state import DecodingState, join_states, keep_rows
from leopard.inference.growing_cache import ROOM
from leopard.inference.onnx import decoder as module
from leopard.inference.onnx.loading import take_language_model
from leopard.inference.prefix_cache import PrefixEntry
from leopard.inference.shared_document import SharedState
from leopard.model.config import LeopardConfig
from leopard.model.dummy import build_dummy, preset_config

SMOLLM3 = {"model_type": "smollm3", "no_rope_layers": [1, 0], "pad_token_id": 0}
FAMILIES = {
    "llama": {},
    "smollm3 with a layer without rotation": SMOLLM3,
    "a head for each": {"num_key_value_heads": 4},
    "wide heads": {"head_dim": 32},
    "one table for input and output": {"tie_word_embeddings": True},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "linear rotation": {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2}},
    "llama3 rotation": {
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 1e4,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        }
    },
    "yarn rotation": {
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 1e4,
            "factor": 64.0,
            "original_max_position_embeddings": 64,
        }
    },
}


def build(**text):
    """A tiny model whose norms and biases count."""
    values = preset_config("tiny").to_dict()
    values["text_config"] = {**values["text_config"], **text}
    model = build_dummy(LeopardConfig(**values), seed=3)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.copy_(torch.rand(parameter.shape, generator=random) + 0.3)
    return model


def decoders(form=None, **text):
    model = build(**text)
    return TorchDecoder(copy.deepcopy(model)), take_language_model(model, form)


@pytest.fixture(scope="module")
def both():
    return decoders(**SMOLLM3)


def embeds(length, rows=1, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(rows, length, 64, generator=random)


def places(start, end, rows=1):
    return torch.arange(start, end).expand(rows, -1)


def read(decoder, given, cache, start, end, **how):
    with torch.inference_mode():
        return decoder.read(given[:, start:end], places(start, end, len(given)), cache, **how)


def close(found, expected):
    return torch.allclose(found, expected, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_scores_and_caches_are_those_of_torch(family):
    pair = decoders(**family)
    given = embeds(2 * module.PIECE + 9)
    caches = [decoder.new_cache() for decoder in pair]
    # A prompt in several pieces, a few positions more, then one at a time.
    ends = [2 * module.PIECE + 1, 2 * module.PIECE + 6, *range(2 * module.PIECE + 7, len(given[0]))]
    start = 0
    for end in ends:
        theirs, ours = (
            read(decoder, given, cache, start, end)
            for decoder, cache in zip(pair, caches, strict=True)
        )
        assert theirs.shape == ours.shape == (1, 1, 524)
        assert close(ours, theirs)
        start = end
    for theirs, ours in zip(caches[0].layers, caches[1].layers, strict=True):
        assert close(ours.keys, theirs.keys)
        assert close(ours.values, theirs.values)


@pytest.mark.parametrize(("form", "most"), [("int8", 0.06), ("int4", 0.3)])
def test_few_bits_are_near_full_precision(form, most):
    pair = decoders(form)
    given = embeds(40)
    theirs, ours = (read(one, given, one.new_cache(), 0, 40) for one in pair)
    assert 0 < float((ours - theirs).norm() / theirs.norm()) < most


def test_any_positions_can_be_kept(both):
    given, length = embeds(module.PIECE + 40), module.PIECE + 40
    for kept in ([3], [0, module.PIECE - 1, module.PIECE, length - 1], [module.PIECE + 2]):
        chosen = torch.tensor(kept)
        theirs, ours = (read(one, given, one.new_cache(), 0, length, kept=chosen) for one in both)
        assert ours.shape == (1, len(kept), 524)
        assert close(ours, theirs)


def test_new_positions_are_written_into_the_cache_in_place(both):
    _, ours = both
    cache, given = ours.new_cache(), embeds(ROOM + 20)
    read(ours, given, cache, 0, 10)
    address = cache.layers[0].keys.data_ptr()
    before = cache.layers[0].keys.clone()
    read(ours, given, cache, 10, 11)
    assert cache.layers[0].keys.data_ptr() == address
    assert torch.equal(cache.layers[0].keys[:, :, :10], before)
    # The buffer is full some day; then a longer one takes over what is there.
    for place in range(11, ROOM + 20):
        read(ours, given, cache, place, place + 1)
    assert cache.layers[0].keys.data_ptr() != address
    assert torch.equal(cache.layers[0].keys[:, :, :10], before)
    whole = read(ours, given, ours.new_cache(), 0, ROOM + 20)
    again = cache_scores(ours, cache, given)
    assert close(again, whole)


def cache_scores(decoder, cache, given):
    """Scores after the last position, read once more behind a copy of the cache without it."""
    short = PrefixEntry(tuple(layer.fork() for layer in cache.layers)).restore()
    for layer in short.layers:
        layer.keys, layer.values = layer.keys[:, :, :-1], layer.values[:, :, :-1]
    length = given.shape[1]
    return read(decoder, given, short, length - 1, length)


def test_forks_of_a_document_do_not_see_each_other(both):
    _, ours = both
    document = embeds(30)
    cache = ours.new_cache()
    read(ours, document, cache, 0, 30)
    entry = PrefixEntry(tuple(layer.fork() for layer in cache.layers))
    del cache
    questions = [torch.cat([document, embeds(6, seed=seed)], dim=1) for seed in (1, 2)]
    forks = [entry.restore() for _ in questions]
    found = [
        read(ours, question, fork, 30, 33) for question, fork in zip(questions, forks, strict=True)
    ]
    # The second turn of the first comes after the second has written.
    found[0] = read(ours, questions[0], forks[0], 33, 36)
    found[1] = read(ours, questions[1], forks[1], 33, 36)
    for question, scores in zip(questions, found, strict=True):
        assert close(scores, read(ours, question, ours.new_cache(), 0, 36))


def test_memory_of_a_gone_cache_is_not_used_again(both):
    _, ours = both
    given = embeds(12)
    expected = read(ours, given, ours.new_cache(), 0, 12)
    for _ in range(5):
        gc.collect()
        assert torch.equal(read(ours, given, ours.new_cache(), 0, 12), expected)


def test_rows_of_unequal_lengths_are_decoded_together(both):
    given = [embeds(length, seed=length) for length in (7, 19, 12)]
    states = []
    for one in given:
        state = DecodingState(torch.ones(1, one.shape[1], dtype=torch.long), both[1].new_cache())
        read(both[1], one, state.cache, 0, one.shape[1])
        states.append(state)
    joined = join_states(join_states(states[0], states[1]), states[2])
    fresh = embeds(2, rows=3, seed=99)
    for step in range(2):
        joined.mask = torch.cat([joined.mask, joined.mask.new_ones(3, 1)], dim=1)
        with torch.inference_mode():
            found = both[1].read(
                fresh[:, step : step + 1],
                (joined.mask.sum(dim=1, keepdim=True) - 1),
                joined.cache,
                mask=joined.mask,
            )
    for row, one in enumerate(given):
        alone = torch.cat([one, fresh[row : row + 1]], dim=1)
        expected = read(both[0], alone, both[0].new_cache(), 0, alone.shape[1])
        assert close(found[row], expected[0])
    kept = keep_rows(joined, [0, 2])
    assert kept.num_columns == 14


def test_conversations_share_a_document(both):
    document = embeds(module.PIECE + 3)
    asked = [embeds(length, seed=length)[0] for length in (4, module.PIECE, 9)]
    found = []
    for decoder in both:
        cache = decoder.new_cache()
        read(decoder, document, cache, 0, document.shape[1])
        state = SharedState(cache, document.shape[1], len(asked), "cpu")
        state.read(decoder, asked)
        state.read(decoder, [embeds(1, seed=7)[0], None, embeds(1, seed=8)[0]])
        found.append(state.logits)
    assert close(found[1], found[0])


def test_few_bits_of_a_row_do_not_depend_on_its_neighbours():
    _, ours = decoders("int8")
    given = embeds(1, rows=3) * torch.tensor([0.01, 1.0, 100.0])[:, None, None]
    together = read(ours, given, ours.new_cache(), 0, 1)
    alone = torch.cat([read(ours, one[None], ours.new_cache(), 0, 1) for one in given])
    assert torch.allclose(together, alone, atol=1e-4)


def test_failure_of_the_runtime_is_an_error_of_ours(both):
    _, ours = both
    with pytest.raises(GenerationError, match=r"ONNX Runtime failed .*use engine torch"):
        read(ours, torch.zeros(1, 3, 63), ours.new_cache(), 0, 3)
