"""Models and pages that the benchmarks of the runtime share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw

from leopard.inference.engine import EngineOptions, LocalGenerator
from leopard.inference.kernels import use_fast_kernels
from leopard.inference.loading import load_generator
from leopard.inference.onnx.loading import take_language_model
from leopard.model import LeopardConfig
from leopard.model.dummy import build_dummy
from leopard.schema.generation import GenerationRequest, SamplingOptions
from leopard.schema.messages import ImagePart, Message, TextPart


def text_config_135m(vocabulary: int = 49152) -> dict[str, Any]:
    """Sizes of SmolLM2-135M."""
    return {
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "tie_word_embeddings": True,
        "max_position_embeddings": 16384,
    }


def build_medium(tokenizer_of: Any) -> Any:
    """A 135M language model with a 20M encoder, random weights, for a tokenizer that is here."""
    config = LeopardConfig(
        image_token_id=tokenizer_of.image_token_id,
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 384,
            "intermediate_size": 1536,
            "num_hidden_layers": 11,
            "num_attention_heads": 6,
            "image_size": 364,
            "patch_size": 14,
        },
        text_config=text_config_135m(),
    )
    return build_dummy(config)


def make_generator(
    name: str, *, fast: bool = True, max_crops: int | None = None, engine: str = "torch"
) -> LocalGenerator:
    """`leopard-nano` or `medium`; without `fast` as transformers computes it."""
    nano = load_generator(processor_settings={"max_crops": max_crops})
    if name == "leopard-nano":
        model = nano.model if fast else load_plain(nano)
        processor = nano.processor
    else:
        processor = nano.processor.with_settings(
            patch_size=14, shuffle_factor=2, embedding_rows=49152
        )
        model = build_medium(processor)
    decoder = take_language_model(model) if engine == "onnx" else None
    if fast:
        use_fast_kernels(model)
    return LocalGenerator(model, processor, name=name, options=EngineOptions(), decoder=decoder)


def load_plain(like: LocalGenerator) -> Any:
    """The shipped model as transformers alone loads it, in single precision."""
    from leopard.inference.loading import resolve_model
    from leopard.model.weights import load_model

    return load_model(resolve_model(None), dtype=like.model.dtype).eval()


def draw_pages(count: int, *, width: int = 1240, height: int = 1754) -> list[PIL.Image.Image]:
    """Pages of random numbers, 150 dpi, so that no two crops are equal."""
    pages = []
    for seed in range(count):
        random = np.random.default_rng(seed)
        image = PIL.Image.new("RGB", (width, height), "white")
        draw = PIL.ImageDraw.Draw(image)
        for top in range(60, height - 60, 28):
            words = "  ".join(str(number) for number in random.integers(0, 10**6, 14))
            draw.text((60, top), words, fill=(20, 20, 60))
        pages.append(image)
    return pages


def question(pages: list[PIL.Image.Image], text: str, tokens: int = 1) -> GenerationRequest:
    """A question about all pages."""
    parts = (*[ImagePart() for _ in pages], TextPart(text))
    return GenerationRequest(
        messages=(Message("user", parts),),
        images=tuple(pages),
        sampling=SamplingOptions(max_new_tokens=tokens),
    )


def cpu_seconds(run: Callable[[], object], repeats: int = 1) -> float:
    """Least CPU time of several runs; other programs on the machine disturb it little."""
    spent = []
    for _ in range(repeats):
        begin = time.process_time()
        run()
        spent.append(time.process_time() - begin)
    return min(spent)
