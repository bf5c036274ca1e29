"""A model to begin stage 1 with: a vision encoder, a language model, and a connector between them.

Reads folders that transformers reads, writes a Leopard folder whose connector knows nothing yet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer

from leopard.errors import CheckpointError, ConfigError
from leopard.model import LeopardConfig, LeopardForConditionalGeneration
from leopard.processor import LeopardProcessor
from leopard.processor.tokens import DEFAULT_IMAGE_TOKEN
from leopard.training.checkpoint import replace_folder


def assemble_start(
    vision: str,
    language: str,
    target: Path,
    *,
    image_token: str = DEFAULT_IMAGE_TOKEN,
    shuffle_factor: int = 2,
    seed: int = 0,
) -> Any:
    """Put a model together and save it.

    Args:
        vision: Folder or hub name of the vision encoder, such as a SigLIP; of a model with a text
            half only the vision half is taken.
        language: Folder or hub name of a causal language model with a LLaMA-3 style tokenizer.
        target: Folder to make; must not exist.
        image_token: Token of the tokenizer that stands for a visual token; one it never uses.
        shuffle_factor: Pixel shuffle of the connector (paper 3.2: 2).
        seed: Seed of the connector's weights.

    Returns:
        The model.

    Raises:
        ConfigError: If the target exists.
        CheckpointError: If a part cannot be read or the tokenizer lacks a token.
    """
    if target.exists():
        raise ConfigError(f"{target} is there already; give another folder, or delete it")
    encoder, model, tokenizer = _read(vision, language)
    image_id = tokenizer.convert_tokens_to_ids(image_token)
    if image_id is None or image_id == tokenizer.unk_token_id:
        raise CheckpointError(
            f"{language}: the tokenizer has no token {image_token!r}; name a spare one that it has"
        )
    config = LeopardConfig(
        vision_config=encoder.config,
        text_config=model.config,
        image_token_id=image_id,
        shuffle_factor=shuffle_factor,
    )
    made = _join(config, encoder, model, seed)

    def fill(folder: Path) -> None:
        made.save_pretrained(folder)
        tokenizer.save_pretrained(str(folder))
        LeopardProcessor.from_pretrained(folder, image_token=image_token).save_pretrained(folder)

    replace_folder(target, fill)
    return made


def _read(vision: str, language: str) -> tuple[Any, Any, Any]:
    """Vision encoder, language model and tokenizer, in the number types of their files."""
    try:
        config = AutoConfig.from_pretrained(vision)
        own = getattr(config, "vision_config", config)
        own.vision_use_head = False
        encoder = _vision_half(vision, own)
        model = AutoModelForCausalLM.from_pretrained(language, dtype="auto")
        return encoder, model, AutoTokenizer.from_pretrained(language)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{vision} and {language}: cannot be read ({str(error).splitlines()[0]}); give a "
            "vision encoder and a causal language model"
        ) from error


def _vision_half(vision: str, config: Any) -> Any:
    with torch.device("meta"):
        kind = type(AutoModel.from_config(config))
    return kind.from_pretrained(vision, config=config, dtype="auto")


def _join(config: LeopardConfig, encoder: Any, language: Any, seed: int) -> Any:
    """The whole model; only the connector is made anew."""
    with torch.device("meta"):
        made = LeopardForConditionalGeneration._from_config(config)
    torch.manual_seed(seed)
    fresh = type(made.model.connector)(
        config.vision_config.hidden_size,  # type: ignore[union-attr]
        config.text_config.hidden_size,  # type: ignore[union-attr]
        shuffle_factor=config.shuffle_factor,
        hidden_act=config.projector_hidden_act,
        bias=config.projector_bias,
    )
    for layer in (fresh.linear_1, fresh.linear_2):
        torch.nn.init.normal_(layer.weight, std=config.initializer_range)
        if layer.bias is not None:
            torch.nn.init.zeros_(layer.bias)
    made.model.connector = fresh.to(language.dtype)
    made.model.vision_encoder = encoder.to(language.dtype)
    made.model.language_model = language.base_model
    made.lm_head = language.get_output_embeddings()
    made.config.dtype = language.dtype
    return made.eval()
