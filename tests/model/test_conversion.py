import json

import pytest
import torch
from safetensors.torch import load_file

from leopard.errors import CheckpointError
from leopard.model.conversion import convert_checkpoint
from leopard.model.weights import load_model, read_layout
from tests.model.published import edit_json, write_published_folder
from tests.parity import cases as parity


@pytest.fixture
def published(tmp_path):
    folder = tmp_path / "published"
    write_published_folder(folder)
    return folder


def load_all(folder):
    tensors = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors.update(load_file(file))
    return tensors


def test_published_folder_becomes_ours_with_equal_logits(published, tmp_path):
    report = convert_checkpoint(published, tmp_path / "ours")
    assert report.model_type == "leopard"
    assert report.num_tensors == 62
    assert report.skipped == ("vision_tower.vision_model.head.probe",)
    assert (report.image_token_id, report.tokenizer_family) == (456, "llama3")
    model = load_model(tmp_path / "ours", dtype=torch.float32)
    case = parity.cases("llava")["text_only"]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([case["input_ids"]])).logits[0]
    expected = parity.arrays("llava")["text_only.logits"]
    torch.testing.assert_close(logits[case["logit_positions"]], expected, atol=5e-4, rtol=0)


def test_round_trip_gives_the_published_tensors_back(published, tmp_path):
    convert_checkpoint(published, tmp_path / "ours")
    convert_checkpoint(tmp_path / "ours", tmp_path / "back", to="published")
    tensors = load_file(parity.LLAVA_FOLDER / "model.safetensors")
    back = load_all(tmp_path / "back")
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)
    before = json.loads((published / "config.json").read_text())
    after = json.loads((tmp_path / "back" / "config.json").read_text())
    assert after["model_type"] == "llava"
    assert after["image_token_index"] == before["image_token_index"]
    assert after["text_config"]["rope_scaling"] == before["text_config"]["rope_scaling"]
    assert after["text_config"]["rope_theta"] == before["text_config"]["rope_theta"]


def test_idefics2_round_trip_keeps_every_tensor(tmp_path):
    report = convert_checkpoint(parity.IDEFICS2_FOLDER, tmp_path / "ours")
    assert (report.model_type, report.image_token_id) == ("leopard_idefics2", 321)
    convert_checkpoint(tmp_path / "ours", tmp_path / "back", to="published")
    tensors = load_file(parity.IDEFICS2_FOLDER / "model.safetensors")
    back = load_all(tmp_path / "back")
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)
    assert json.loads((tmp_path / "back/config.json").read_text())["model_type"] == "idefics2"


def test_small_shards_hold_everything_once(published, tmp_path):
    convert_checkpoint(published, tmp_path / "ours", max_shard_bytes=100_000)
    assert len(list((tmp_path / "ours").glob("model-*.safetensors"))) > 3
    assert len(read_layout(tmp_path / "ours")) == 62
    load_model(tmp_path / "ours")


def test_stop_tokens_come_from_the_checkpoint_and_sampling_is_off(published, tmp_path):
    convert_checkpoint(published, tmp_path / "ours")
    settings = json.loads((tmp_path / "ours/generation_config.json").read_text())
    assert settings["eos_token_id"] == [257, 265]
    assert settings["suppress_tokens"] == [456]
    assert not settings.get("do_sample", False)


def test_progress_names_each_tensor_once(published, tmp_path):
    seen = []
    convert_checkpoint(published, tmp_path / "ours", progress=lambda *step: seen.append(step))
    assert [number for _, number, _ in seen] == list(range(1, 63))
    assert {total for _, _, total in seen} == {62}


def test_contradicting_image_tokens_are_refused_with_both_values(published, tmp_path):
    edit_json(published / "config.json", image_token_index=453)
    with pytest.raises(CheckpointError, match=r"453.*456"):
        convert_checkpoint(published, tmp_path / "ours")
    report = convert_checkpoint(published, tmp_path / "ours", image_token_id=453)
    assert report.image_token_id == 453


def test_two_image_tokens_in_the_configuration_are_refused(published, tmp_path):
    edit_json(published / "config.json", image_token_id=455)
    with pytest.raises(CheckpointError, match=r"455.*456"):
        convert_checkpoint(published, tmp_path / "ours")


def test_llama31_tokenizer_is_told_by_its_tokens(published, tmp_path):
    path = published / "tokenizer.json"
    values = json.loads(path.read_text())
    for token in values["added_tokens"]:
        if token["content"] == "<|reserved_special_token_4|>":
            token["content"] = "<|eom_id|>"
    path.write_text(json.dumps(values))
    assert convert_checkpoint(published, tmp_path / "ours").tokenizer_family == "llama3.1"


def test_missing_shard_is_named(published, tmp_path):
    (published / "pytorch_model-00002-of-00003.bin").unlink()
    with pytest.raises(CheckpointError, match=r"1 of 3 weight files.*00002-of-00003"):
        convert_checkpoint(published, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_missing_tensor_is_named(published, tmp_path):
    file = published / "pytorch_model-00001-of-00003.bin"
    tensors = torch.load(file, weights_only=True)
    name = sorted(tensors)[0]
    torch.save({k: v for k, v in tensors.items() if k != name}, file)
    with pytest.raises(CheckpointError, match=rf"promises 1 tensors.*{name}"):
        convert_checkpoint(published, tmp_path / "ours")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("lm_head.weight"), "1 tensors missing .lm_head.weight"),
        (lambda t: t.update(extra=torch.zeros(2)), "1 unexpected tensors .extra"),
        (
            lambda t: t.update({"model.connector.linear_1.bias": torch.zeros(3)}),
            "model.connector.linear_1.bias is 3 and should be 64",
        ),
    ],
)
@pytest.mark.parametrize(
    "use", [convert_checkpoint, lambda source, _: load_model(source)], ids=["convert", "load"]
)
def test_tensors_that_do_not_fit_are_named(change, message, use, published, tmp_path):
    from safetensors.torch import save_file

    convert_checkpoint(published, tmp_path / "ours")
    file = tmp_path / "ours" / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=message):
        use(tmp_path / "ours", tmp_path / "again")


def test_files_that_would_run_code_are_refused(published, tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("this must not run",)

    torch.save({"x": Evil()}, published / "pytorch_model-00001-of-00003.bin")
    with pytest.raises(CheckpointError, match="more than tensors"):
        convert_checkpoint(published, tmp_path / "ours")


def test_existing_target_is_kept(published, tmp_path):
    target = tmp_path / "ours"
    target.mkdir()
    (target / "mine.txt").write_text("precious")
    with pytest.raises(CheckpointError, match="already exists"):
        convert_checkpoint(published, target)
    assert [file.name for file in target.iterdir()] == ["mine.txt"]


def test_failure_leaves_nothing_behind(published, tmp_path):
    def fail(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_checkpoint(published, tmp_path / "out" / "ours", progress=fail)
    assert list((tmp_path / "out").iterdir()) == []


def test_folder_without_tokenizer_is_refused(published, tmp_path):
    (published / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match="tokenizer"):
        convert_checkpoint(published, tmp_path / "ours")
