import json
import os
import struct

import pytest
import torch
from safetensors.torch import save_file

from leopard.errors import ConfigError
from leopard.inference.disk_store import DiskStore, default_folder
from leopard.inference.engine import EngineOptions, LocalGenerator
from leopard.inference.loading import load_generator
from tests.inference.test_engine import ask

KEY = "ab" + "0" * 62
TENSORS = {"tokens": torch.arange(12, dtype=torch.float32).view(3, 4)}


@pytest.fixture
def store(tmp_path):
    made = DiskStore(tmp_path / "index", writes=True)
    made.put("vision", KEY, TENSORS)
    return made


def test_entry_comes_back_as_it_was(store):
    found = store.get("vision", KEY)
    assert found is not None
    assert torch.equal(found["tokens"], TENSORS["tokens"])
    assert (store.stats.written, store.stats.read, store.stats.damaged) == (1, 1, 0)
    assert store.num_bytes() == store.path("vision", KEY).stat().st_size


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.uint8])
def test_number_types_are_kept(dtype, store):
    store.put("vision", "cd" * 32, {"a": torch.ones(2).to(dtype), "b": torch.zeros(0, dtype=dtype)})
    found = store.get("vision", "cd" * 32)
    assert found["a"].dtype is dtype
    assert found["b"].shape == (0,)


def test_unknown_names_and_kinds_are_not_there(store):
    assert store.get("vision", "ff" * 32) is None
    assert store.get("prefix", KEY) is None
    assert store.stats.damaged == 0


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def relabelled(**changes):
    def damage(path):
        data = path.read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        labels = json.loads(data[8 : 8 + size])["__metadata__"]
        save_file(TENSORS, path, metadata={**labels, **changes})

    return damage


DAMAGE = {
    "a bit of a value": lambda path: flip(path, -3),
    "a bit of the header": lambda path: flip(path, 12),
    "the length of the header": lambda path: flip(path, 7),
    "half of it is missing": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "it is empty": lambda path: path.write_bytes(b""),
    "it is no safetensors file": lambda path: path.write_bytes(b"hello" * 40),
    "it is of an earlier format": relabelled(format="leopard-index-0"),
    "it is another entry": relabelled(key="ef" * 32),
    "its checksum is of something else": relabelled(sha256="0" * 64),
    "it has no labels": lambda path: save_file(TENSORS, path),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_file_is_never_believed(how, store):
    path = store.path("vision", KEY)
    DAMAGE[how](path)
    assert store.get("vision", KEY) is None
    assert store.stats.damaged == 1
    assert not path.exists()
    store.put("vision", KEY, TENSORS)
    assert torch.equal(store.get("vision", KEY)["tokens"], TENSORS["tokens"])


def test_store_that_is_read_only_writes_nothing(tmp_path):
    store = DiskStore(tmp_path / "index")
    store.put("vision", KEY, TENSORS)
    assert not (tmp_path / "index").exists()


def test_full_folder_drops_what_was_used_longest_ago(tmp_path):
    store = DiskStore(tmp_path, writes=True)
    store.put("vision", KEY, TENSORS)
    size = store.num_bytes()
    small = DiskStore(tmp_path, writes=True, max_bytes=2 * size)
    names = [KEY, "bb" * 32, "cc" * 32]
    small.put("vision", names[1], TENSORS)
    for age, name in enumerate(reversed(names[:2])):
        os.utime(small.path("vision", name), (1000 + age, 1000 + age))
    small.put("vision", names[2], TENSORS)
    assert small.get("vision", names[1]) is None
    assert small.get("vision", names[0]) is not None
    assert small.stats.dropped == 1
    with pytest.raises(ConfigError, match="at least 1"):
        DiskStore(tmp_path, max_bytes=0)


def test_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    store = DiskStore(tmp_path / "file", writes=True)
    with pytest.raises(ConfigError, match="--index"):
        store.put("vision", KEY, TENSORS)


def test_default_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("LEOPARD_INDEX", str(tmp_path / "own"))
    assert default_folder() == tmp_path / "own"
    monkeypatch.delenv("LEOPARD_INDEX")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "leopard" / "index"


# --- With the engine ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tiny_model_folder):
    return load_generator(tiny_model_folder)


def engine(model, folder, **options):
    return LocalGenerator(
        model.model, model.processor, options=EngineOptions(index=folder, **options)
    )


def counting(generator, monkeypatch):
    """Crops that the vision encoder and positions that the language model see from now on."""
    seen = {"crops": 0, "positions": 0}
    encode, forward = generator.model.get_image_features, generator.model.forward

    def counted(pixels, **more):
        seen["crops"] += len(pixels)
        return encode(pixels, **more)

    def read(*arguments, **more):
        given = more.get("inputs_embeds")
        seen["positions"] += 1 if given is None else given.shape[1]
        return forward(*arguments, **more)

    monkeypatch.setattr(generator.model, "get_image_features", counted)
    monkeypatch.setattr(generator.model, "forward", read)
    return seen


REQUEST = ask("What is the title?", 1, 2, max_new_tokens=6)


def test_another_process_answers_from_the_index(model, tmp_path, monkeypatch):
    plain = engine(model, None).generate([REQUEST])[0]
    length = engine(model, tmp_path, index_writes=True).remember(REQUEST)
    again = engine(model, tmp_path)
    seen = counting(again, monkeypatch)
    found = again.generate([REQUEST])[0]
    assert found.text == plain.text
    assert seen["crops"] == 0
    assert seen["positions"] < found.usage.prompt_tokens - length + 8
    other = again.generate([ask("Name it.", 1, 2)])[0]
    assert other.text == engine(model, None).generate([ask("Name it.", 1, 2)])[0].text


def test_damaged_index_changes_no_answer(model, tmp_path, monkeypatch):
    plain = engine(model, None).generate([REQUEST])[0]
    engine(model, tmp_path, index_writes=True).remember(REQUEST)
    files = sorted(tmp_path.glob("*/*/*.safetensors"))
    assert {path.parent.parent.name for path in files} == {"vision", "prefix"}
    for path in files:
        flip(path, -3)
    again = engine(model, tmp_path)
    seen = counting(again, monkeypatch)
    assert again.generate([REQUEST])[0].text == plain.text
    assert again.index.stats.damaged == len(files)
    assert seen["crops"] == len(files) - 1


def test_other_weights_do_not_use_the_index(model, tmp_path, tiny_model_folder):
    engine(model, tmp_path, index_writes=True).remember(REQUEST)
    changed = load_generator(tiny_model_folder, options=EngineOptions(index=tmp_path))
    with torch.no_grad():
        changed.model.model.language_model.layers[0].mlp.up_proj.weight.add_(0.01)
    changed.generate([REQUEST])
    assert changed.index.stats.read > 0  # visual tokens: their weights are the same
    assert changed.prefix_cache.stats.hits == 0
    with torch.no_grad():
        changed.model.model.connector.linear_1.weight.add_(0.01)
    fresh = LocalGenerator(changed.model, changed.processor, options=EngineOptions(index=tmp_path))
    fresh.generate([REQUEST])
    assert fresh.index.stats.read == 0


def test_missing_folder_is_no_index(model, tmp_path):
    assert engine(model, tmp_path / "none").index is None
