"""The model that comes with the package, through vLLM: the tokens of the local runtime."""

import pytest

from leopard.inference.loading import DEFAULT_MODEL, SHIPPED_MODELS
from leopard.inference.vllm.generator import VllmGenerator, VllmOptions
from tests.inference.vllm.models import DECKS, REQUESTS, local_tokens
from tests.inference.vllm.test_generator import play

pytestmark = pytest.mark.vllm


def test_the_shipped_model_writes_the_tokens_of_the_local_runtime():
    folder = SHIPPED_MODELS / DEFAULT_MODEL
    wanted = local_tokens(folder)
    options = VllmOptions(max_batch_size=4, max_model_len=4096, cache_bytes=2**29)
    generator = VllmGenerator(folder, options=options)
    try:
        _, tokens = play(generator.open_batch(), {name: REQUESTS[name] for name in DECKS})
    finally:
        generator.close()
    assert tokens == {name: wanted[name] for name in DECKS}
    assert max(len(row) for row in tokens.values()) > 1
