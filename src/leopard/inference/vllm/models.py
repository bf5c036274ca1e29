"""Leopard's models in vLLM, through its backend for models of transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from vllm.model_executor.models.transformers import TransformersMultiModalForCausalLM
from vllm.multimodal import MULTIMODAL_REGISTRY

from leopard.inference.vllm.processing import (
    LeopardDummyInputs,
    LeopardInfo,
    LeopardMultiModalProcessor,
)

if TYPE_CHECKING:
    from torch import Tensor

_WITH_IMAGES = MULTIMODAL_REGISTRY.register_processor(
    LeopardMultiModalProcessor, info=LeopardInfo, dummy_inputs=LeopardDummyInputs
)


class _NeverWritesPlaceholders(TransformersMultiModalForCausalLM):
    """A placeholder stands for pixels; no sampler may choose it."""

    def compute_logits(self, hidden_states: Tensor) -> Tensor | None:
        """Scores of all tokens, (positions, vocabulary)."""
        logits: Tensor | None = super().compute_logits(hidden_states)
        if logits is not None:
            logits[..., self.config.image_token_id] = -torch.inf
        return logits


@_WITH_IMAGES
class TiledLeopard(_NeverWritesPlaceholders):
    """LLaVA-style Leopard: thumbnails and tiles."""


@_WITH_IMAGES
class WholeLeopard(_NeverWritesPlaceholders):
    """Leopard-Idefics2: whole images."""

    def embed_multimodal(self, **inputs: Any) -> list[Tensor]:
        """Visual tokens of each image, (latents, dim); images of unequal canvas come as lists."""
        pixels, masks = inputs["pixel_values"], inputs["pixel_attention_mask"]
        return [
            self.model.get_image_features(image[None, None], mask[None, None]).pooler_output[0]
            for image, mask in zip(pixels, masks, strict=True)
        ]
