import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from leopard.errors import CheckpointError, GenerationError
from leopard.inference import memory
from leopard.inference.engine import EngineOptions, LocalGenerator
from leopard.inference.loading import LoadSettings, load_generator, predict_memory
from leopard.inference.memory import (
    Demand,
    estimate_memory,
    fit_memory,
    free_bytes,
    give_back,
    weight_bytes_of,
)
from leopard.model.dummy import preset_config
from leopard.processor.crops import plan_crops
from leopard.schema.geometry import CropGeometry, ImageSize
from tests.bounded import apart
from tests.inference.test_engine import ask

STATUS = Path("/proc/self/status")

DEMAND = Demand(sizes=(ImageSize(1700, 2200),) * 20, num_crops=50, positions=8700)
FULL = preset_config("leopard-llava")
WEIGHTS = 17 * 10**9


def test_parts_follow_from_sizes():
    found = estimate_memory(FULL, DEMAND, weight_bytes=WEIGHTS, value_bytes=2)
    assert found.pages == 20 * 4 * 1700 * 2200
    assert found.visual_tokens == 2 * 50 * 169 * 4096 * 2
    # 32 layers, 8 heads of 128 values, keys and values.
    assert found.keys_values == 2 * 32 * 8 * 128 * (8700 + 256) * 2
    parts = found.to_dict()
    assert parts["total"] == found.total == found.weights + found.pages + found.answer


def test_more_pages_and_wider_numbers_need_more():
    base = estimate_memory(FULL, DEMAND, weight_bytes=WEIGHTS, value_bytes=2)
    more = estimate_memory(
        FULL, replace(DEMAND, positions=12000), weight_bytes=WEIGHTS, value_bytes=2
    )
    wide = estimate_memory(FULL, DEMAND, weight_bytes=WEIGHTS, value_bytes=4)
    assert more.total > base.total
    assert wide.answer > 1.8 * base.answer


def test_text_alone_needs_no_vision():
    found = estimate_memory(FULL, Demand(sizes=(), num_crops=0, positions=30), weight_bytes=WEIGHTS)
    assert (found.vision, found.pages, found.visual_tokens) == (0, 0, 0)


def test_engines_that_read_little_at_once_need_less():
    free = fit_memory(FULL, DEMAND, limit=100 * 2**30, weight_bytes=WEIGHTS)
    bound = fit_memory(FULL, DEMAND, limit=100 * 2**30, weight_bytes=WEIGHTS, most=128)
    assert bound.piece == 128
    assert bound.reading < free.reading / 2
    assert bound.keys_values == free.keys_values


def test_smaller_pieces_are_taken_where_memory_is_short():
    roomy = fit_memory(FULL, DEMAND, limit=100 * 2**30, weight_bytes=WEIGHTS)
    assert (roomy.chunk, roomy.piece) == (FULL.vision_chunk_size, memory.PIECES[0])
    tight = fit_memory(FULL, DEMAND, limit=roomy.total - 2**20, weight_bytes=WEIGHTS)
    assert tight.total < roomy.total
    assert tight.piece < roomy.piece or tight.chunk < roomy.chunk


def test_what_cannot_fit_says_need_and_limit():
    with pytest.raises(GenerationError, match=r"needs .* GiB .*16\.00 GiB may be used; choose"):
        fit_memory(FULL, DEMAND, limit=16 * 2**30, weight_bytes=WEIGHTS)


def test_free_memory_is_known_here():
    assert 0 < free_bytes(torch.device("cpu")) < 2**62


def test_weights_are_counted_once_and_quantised_ones_too(tiny_model_folder):
    layer = nn.Linear(4, 4, bias=False)
    assert weight_bytes_of(nn.Sequential(layer, layer)) == 64
    full = load_generator(tiny_model_folder)
    small = load_generator(tiny_model_folder, settings=LoadSettings(weights="int8"))
    smallest = load_generator(tiny_model_folder, settings=LoadSettings(weights="int4"))
    counts = [weight_bytes_of(one.model) for one in (smallest, small, full)]
    assert 0 < counts[0] < counts[1] < counts[2]


# --- With the engine ---------------------------------------------------------------------------

REQUEST = ask("What is the title?", 1, 2, 3, max_new_tokens=6)


@pytest.fixture(scope="module")
def model(tiny_model_folder):
    return load_generator(tiny_model_folder)


def engine(model, memory_bytes, **options):
    return LocalGenerator(
        model.model,
        model.processor,
        options=EngineOptions(memory_bytes=memory_bytes, **options),
    )


def test_answer_that_would_not_fit_is_refused_before_any_work(model, monkeypatch):
    monkeypatch.setattr(model.model, "get_image_features", None)
    with pytest.raises(GenerationError, match="choose fewer pages"):
        engine(model, 2**20).generate([REQUEST])


def test_smaller_pieces_give_the_same_answer(model, monkeypatch):
    plain = engine(model, None).generate([REQUEST])[0]
    monkeypatch.setattr(memory, "PIECES", (16384, 64, 16, 4))
    pieces = []
    forward = model.model.forward

    def counted(**inputs):
        if "inputs_embeds" in inputs:
            pieces.append(inputs["inputs_embeds"].shape[1])
        return forward(**inputs)

    monkeypatch.setattr(model.model, "forward", counted)
    small = engine(model, None)
    demand = small.encoder.demand(small.encoder.prepare(REQUEST), 6)
    need = [
        estimate_memory(
            model.model.config,
            demand,
            weight_bytes=weight_bytes_of(model.model),
            chunk=chunk,
            piece=piece,
        ).total
        for chunk, piece in ((8, 64), (4, 16))
    ]
    tight = engine(model, max(need))
    assert tight.generate([REQUEST])[0].text == plain.text
    assert tight.reader.piece in (64, 16, 4)
    assert max(pieces) <= tight.reader.piece


def test_prediction_from_files_is_that_of_the_engine(model, tiny_model_folder):
    geometry = CropGeometry(crop_size=56, patch_size=14)
    plan = plan_crops([ImageSize(300, 400)] * 2, geometry=geometry)
    found = predict_memory(tiny_model_folder, plan, dtype="float32")
    assert found is not None
    stored = sum(tensor.numel() * 4 for tensor in model.model.state_dict().values())
    assert found["weights"] == stored
    with pytest.raises(CheckpointError, match="model folder"):
        predict_memory("nobody/nothing", plan)


def give_back_much() -> None:
    """Blocks from the heap, a last one above them that keeps it from shrinking by itself."""
    blocks = [torch.ones(16_000) for _ in range(3000)]
    last = blocks.pop()
    del blocks
    before = resident_bytes()
    give_back()
    assert before - resident_bytes() > 100 * 2**20
    assert len(last) == 16_000


@pytest.mark.skipif(not STATUS.exists(), reason="memory in use is read as Linux tells it")
def test_freed_memory_is_given_back():
    apart(120, give_back_much)


def resident_bytes() -> int:
    return int(re.findall(r"VmRSS:\s+(\d+)", STATUS.read_text())[0]) * 1024
