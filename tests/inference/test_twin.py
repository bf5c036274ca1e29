import torch

from leopard.inference.loading import load_generator
from leopard.inference.twin import MARK, write_untrained_twin
from leopard.model.weights import load_model


def test_twin_has_the_shape_and_none_of_the_weights(tiny_model_folder, tmp_path):
    state = torch.random.get_rng_state()
    twin = write_untrained_twin(tiny_model_folder, tmp_path / "twin", seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    ours, theirs = (load_model(f).state_dict() for f in (tiny_model_folder, twin))
    assert {n: t.shape for n, t in ours.items()} == {n: t.shape for n, t in theirs.items()}
    name = "model.language_model.embed_tokens.weight"
    assert not torch.equal(ours[name], theirs[name])
    assert (
        load_generator(twin).processor.settings
        == load_generator(tiny_model_folder).processor.settings
    )


def test_twin_is_written_once_for_a_seed(tiny_model_folder, tmp_path):
    def weights(seed):
        twin = write_untrained_twin(tiny_model_folder, tmp_path, seed=seed)
        return (twin / "model.safetensors").stat().st_mtime_ns, (twin / MARK).read_text()

    first = weights(1)
    assert weights(1) == first
    assert weights(2) != first
