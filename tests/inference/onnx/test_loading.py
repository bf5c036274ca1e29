"""Models whose language model ONNX Runtime computes: same answers, refusals in words."""

import pytest
import torch
from torch import nn

from leopard.errors import ConfigError
from leopard.inference.engine import EngineOptions, LocalGenerator
from leopard.inference.loading import LoadSettings, load_generator
from leopard.inference.memory import weight_bytes_of
from leopard.inference.onnx import loading
from leopard.inference.onnx.decoder import PIECE
from leopard.inference.onnx.loading import ComputedElsewhere, take_language_model
from leopard.inference.quantized import Int8Linear
from leopard.inference.vision_cache import WeightsFingerprint
from tests.inference.onnx.test_decoder import SMOLLM3, build
from tests.inference.test_engine import REQUESTS, ask

ONNX = LoadSettings(engine="onnx")


@pytest.fixture(scope="module", params=["onnx", "int8", "int4"])
def shared(request, tiny_model_folder):
    weights = None if request.param == "onnx" else request.param
    return load_generator(tiny_model_folder, settings=LoadSettings(engine="onnx", weights=weights))


def fresh(shared, **options):
    return LocalGenerator(
        shared.model, shared.processor, options=EngineOptions(**options), decoder=shared.decoder
    )


def texts(generator, requests):
    return [done.text for done in generator.generate(requests)]


def test_greedy_answers_are_those_of_torch(tiny_model_folder):
    reference = load_generator(tiny_model_folder, settings=LoadSettings(dtype="float32"))
    found = load_generator(tiny_model_folder, settings=ONNX)
    assert texts(found, REQUESTS) == texts(reference, REQUESTS)
    sampled = [ask("Go", 1, temperature=0.9, seed=seed, top_p=0.9) for seed in range(3)]
    assert texts(found, sampled) == texts(reference, sampled)


def test_answers_are_the_same_cached_or_not_alone_or_batched(shared):
    together = texts(fresh(shared), REQUESTS)
    assert together == [texts(fresh(shared), [request])[0] for request in REQUESTS]
    bare = fresh(shared, vision_cache_bytes=0, prefix_cache_bytes=0)
    assert together == [texts(bare, [request])[0] for request in REQUESTS]
    twice = fresh(shared)
    assert together == texts(twice, REQUESTS) == texts(twice, REQUESTS)


def test_second_question_takes_the_document_from_the_cache(shared):
    generator = fresh(shared)
    texts(generator, [ask("What is the title?", 1, 2)])
    assert generator.prefix_cache.stats.hits == 0
    found = texts(generator, [ask("Who wrote it?", 1, 2)])
    assert generator.prefix_cache.stats.hits == 1
    assert found == texts(fresh(shared), [ask("Who wrote it?", 1, 2)])


def test_questions_about_one_document_share_it(shared):
    requests = [ask(question, 1, 2) for question in ("Sum?", "What is the title?", "Who?")]
    generator = fresh(shared)
    rows = [generator.start(request) for request in requests]
    assert generator._share_document(rows)
    assert texts(generator, requests) == [texts(fresh(shared), [one])[0] for one in requests]


def test_requests_join_and_leave_a_running_batch(shared):
    waiting = {str(number): request for number, request in enumerate(REQUESTS)}
    batch, found, step = fresh(shared).open_batch(), dict.fromkeys(waiting, ""), 0
    batch.join("left", ask("Anyone?", 2))
    while waiting or len(batch):
        if step % 3 == 0 and waiting:
            batch.join(*waiting.popitem())
        if step == 4:
            batch.leave("left")
        for news in batch.step():
            assert news.error is None
            found[news.key] = found.get(news.key, "") + news.text
        step += 1
    found.pop("left", None)
    assert list(found.values()) == texts(fresh(shared), REQUESTS)


def test_document_is_had_from_the_index_by_the_same_engine_only(
    tmp_path, tiny_model_folder, monkeypatch
):
    request = ask("What is the title?", 1, 2)
    writer = load_generator(
        tiny_model_folder,
        settings=ONNX,
        options=EngineOptions(index=tmp_path, index_writes=True),
    )
    length = writer.remember(request)
    texts_of, positions = {}, {}
    for engine in ("onnx", "torch"):
        reader = load_generator(
            tiny_model_folder,
            settings=LoadSettings(engine=engine),
            options=EngineOptions(index=tmp_path),
        )
        read, seen = reader.decoder.read, []

        def counted(embeds, *more, read=read, seen=seen, **how):
            seen.append(embeds.shape[1])
            return read(embeds, *more, **how)

        monkeypatch.setattr(reader.decoder, "read", counted)
        texts_of[engine] = texts(reader, [request])
        positions[engine] = sum(seen)
    assert texts_of["onnx"] == texts_of["torch"]
    assert positions["torch"] - positions["onnx"] == length > 0


# --- What is taken -----------------------------------------------------------------------------


def test_weights_are_in_memory_once(tiny_model_folder):
    whole = load_generator(tiny_model_folder).model
    sizes = {}
    for form in (None, "int8", "int4"):
        generator = load_generator(
            tiny_model_folder, settings=LoadSettings(engine="onnx", weights=form)
        )
        sizes[form] = weight_bytes_of(generator.model)
        assert not any(
            isinstance(one, nn.Linear) for one in generator.model.model.language_model.modules()
        )
    rotation = 2 * 4096 * 8 * 4
    assert sizes[None] == pytest.approx(weight_bytes_of(whole) + rotation, rel=0.02)
    assert sizes["int4"] < sizes["int8"] < sizes[None]


def test_encoder_takes_8_bits_and_the_connector_none(tiny_model_folder):
    for form in ("int8", "int4"):
        model = load_generator(tiny_model_folder, settings=LoadSettings(weights=form)).model.model
        linears = {
            type(one) for one in model.vision_encoder.modules() if hasattr(one, "in_features")
        }
        assert linears == {Int8Linear}
        assert isinstance(model.connector.linear_1, nn.Linear)


def test_torch_model_says_that_it_computes_no_more():
    model = build()
    take_language_model(model)
    with pytest.raises(RuntimeError, match="use the decoder"):
        model(input_ids=torch.tensor([[1, 2]]))


def test_fingerprints_tell_weights_and_forms_apart():
    names = set()
    for form in (None, "int8", "int4"):
        for text in ({}, SMOLLM3):
            model = build(**text)
            take_language_model(model, form)
            names.add(WeightsFingerprint(model.model.language_model)())
    assert len(names) == 6


# --- Refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "form", "words"),
    [
        ({"model_type": "qwen2"}, None, "family qwen2"),
        ({"model_type": "mistral", "sliding_window": 8}, None, "sliding_window 8"),
        ({"hidden_act": "gelu"}, None, "activation gelu"),
        (
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
            None,
            "rotation dynamic",
        ),
        ({"head_dim": 24}, None, "heads of 24"),
        ({"intermediate_size": 100}, "int8", "64, 100, 64"),
    ],
)
def test_what_cannot_be_computed_is_refused(text, form, words):
    with pytest.raises(ConfigError, match=rf"engine onnx cannot .*{words}.*use engine torch"):
        take_language_model(build(**text), form)


def test_other_number_types_and_devices_are_refused():
    with pytest.raises(ConfigError, match="leave dtype out"):
        take_language_model(build().bfloat16())
    with pytest.raises(ConfigError, match="choose device cpu"):
        take_language_model(build().to("meta"))


def test_missing_package_is_named_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setattr(loading, "find_spec", lambda name: None if name == "onnxruntime" else name)
    with pytest.raises(ConfigError, match=r"needs onnxruntime; run: pip install 'leopard\[onnx\]'"):
        take_language_model(build())


def test_engine_follows_from_the_settings():
    assert not LoadSettings().uses_onnx
    assert LoadSettings(weights="int8").uses_onnx
    assert LoadSettings(engine="onnx").uses_onnx
    assert not LoadSettings(engine="torch", weights="int8").uses_onnx
    with pytest.raises(ConfigError, match="engine 'jax' is unknown; use torch or onnx"):
        LoadSettings(engine="jax")
    with pytest.raises(ConfigError, match="int4 are computed by the engine onnx alone"):
        LoadSettings(engine="torch", weights="int4")
    with pytest.raises(ConfigError, match="device_map is given"):
        LoadSettings(engine="onnx", device_map="auto")


def test_marker_is_a_module_without_weights():
    assert not list(ComputedElsewhere(b"12", 7).parameters())


def test_room_for_a_prompt_is_made_at_once(shared, monkeypatch):
    generator, lengths = fresh(shared), []
    read = shared.decoder.read

    def counted(embeds, *more, **how):
        lengths.append(embeds.shape[1])
        return read(embeds, *more, **how)

    monkeypatch.setattr(shared.decoder, "read", counted)
    generator.generate([ask("word " * 300, max_new_tokens=1)])
    assert generator.reader.piece == PIECE
    assert len(lengths) == 1
    assert lengths[0] > 2 * PIECE
