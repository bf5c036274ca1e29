"""Leopard-Idefics2: transformers' Idefics2 with the arithmetic of the published weights.

Newer releases of transformers changed three things that move the answers: which patches count as
real, how a patch's position is looked up, and (at full size) an epsilon of the perceiver. Here
they are as in releases 4.43 and 4.44. Knows nothing of image files: see
`leopard.processor.idefics2`.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText
from transformers.models.idefics2.configuration_idefics2 import Idefics2Config
from transformers.models.idefics2.modeling_idefics2 import (
    BaseModelOutputWithPooling,
    Idefics2ForConditionalGeneration,
    Idefics2Model,
    Idefics2PreTrainedModel,
    Idefics2VisionEmbeddings,
)

from leopard.errors import CheckpointError, PlaceholderMismatchError

_LANES = 8
"""Floats that one AVX2 register holds; the rounding of `torch.arange` follows from it."""


def _arange_float32(end: float, step: float, *, start: float = 0.0) -> list[float]:
    """`torch.arange` in float32 as an AVX2 machine rounds it, on any machine.

    Runs of eight values are computed from a float32 base; what does not fill two runs is computed
    one by one in float64. The published positions depend on the difference.
    """
    length = ceil((end - start) / step)
    in_runs = length - length % (2 * _LANES)
    values = []
    for index in range(length):
        lane = index % _LANES if index < in_runs else 0
        base = start + step * (index - lane)
        values.append(float(np.float32(float(np.float32(base)) + lane * step if lane else base)))
    return values


@lru_cache(maxsize=256)
def position_buckets(num_patches: int, table_side: int = 70) -> tuple[int, ...]:
    """Rows (or columns) of the position table that the patches along one axis use.

    Patch `i` of `n` sits at the share `i / n` of the axis; the table has `table_side` rows over the
    same axis (NaViT, Dehghani et al. 2023, fractional positions). Rounding puts some patches one
    row off the exact floor(i * table_side / n), for n = 25, 49, 50, 55 and 58 at 70 rows.

    Args:
        num_patches: Real patches along the axis, at least 1.
        table_side: Rows of the table along the axis.

    Returns:
        Bucket of each patch, 0 to `table_side` - 1, ascending.
    """
    boundaries = _arange_float32(1.0, 1 / table_side, start=1 / table_side)
    step = float(np.float32(1.0) / np.float32(num_patches))
    shares = _arange_float32(1.0 - 1e-6, step)
    return tuple(int(row) for row in np.searchsorted(boundaries, shares, side="right"))


class LeopardIdefics2Config(Idefics2Config):
    """Configuration of Leopard-Idefics2; reads published `idefics2` files.

    The perceiver's norms use the language model's epsilon unless the file says otherwise.
    """

    model_type = "leopard_idefics2"
    text_config: Any = None
    perceiver_config: Any = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill what published files leave out from the language model's sizes."""
        text: Any = self.text_config
        if isinstance(text, dict):
            values = dict(text)
            text = AutoConfig.for_model(values.pop("model_type", "mistral"), **values)
            self.text_config = text
        perceiver: Any = self.perceiver_config
        if isinstance(perceiver, dict) and text is not None:
            sizes = {"hidden_size": text.hidden_size, "rms_norm_eps": text.rms_norm_eps}
            self.perceiver_config = {**sizes, **perceiver}
        super().__post_init__(**kwargs)

    @classmethod
    def get_config_dict(cls, *args: Any, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Read `config.json`, ours or a published one.

        Raises:
            CheckpointError: If the folder holds another kind of model.
        """
        values, rest = super().get_config_dict(*args, **kwargs)
        kind = values.get("model_type", cls.model_type)
        if kind not in (cls.model_type, "idefics2"):
            raise CheckpointError(
                f"model_type is {kind!r} where a Leopard-Idefics2 model must have "
                "'leopard_idefics2' or 'idefics2'; load it with the class for its kind"
            )
        return {**values, "model_type": cls.model_type}, rest


class PublishedPatchEmbeddings(Idefics2VisionEmbeddings):
    """Patch and position embeddings with the published position lookup."""

    def forward(self, pixel_values: Tensor, patch_attention_mask: Tensor) -> Tensor:
        """Embed patches.

        Args:
            pixel_values: Padded images, (num_images, 3, height, width).
            patch_attention_mask: True at real patches, (num_images, rows, cols).

        Returns:
            (num_images, rows * cols, dim), row-major; padding takes position 0.
        """
        patches = self.patch_embedding(pixel_values).flatten(2).transpose(1, 2)
        positions = self.position_ids(patch_attention_mask)
        return patches + self.position_embedding(positions)  # type: ignore[no-any-return]

    def position_ids(self, patch_attention_mask: Tensor) -> Tensor:
        """Rows of the position table, (num_images, rows * cols)."""
        side = self.num_patches_per_side
        mask = patch_attention_mask.cpu()
        ids = torch.zeros(mask.shape, dtype=torch.long)
        for image, real in enumerate(mask):
            rows, cols = int(real[:, 0].sum()), int(real[0].sum())
            down = torch.tensor(position_buckets(rows, side))
            across = torch.tensor(position_buckets(cols, side))
            ids[image, :rows, :cols] = down[:, None] * side + across[None, :]
        return ids.flatten(1).to(patch_attention_mask.device)


class LeopardIdefics2Model(Idefics2Model):
    """Idefics2 without its language head, arithmetic as published."""

    config_class = LeopardIdefics2Config

    def __init__(self, config: LeopardIdefics2Config) -> None:
        super().__init__(config)
        stock = self.vision_model.embeddings
        with torch.device("meta"):
            published = PublishedPatchEmbeddings(config.vision_config)
        published.patch_embedding = stock.patch_embedding
        published.position_embedding = stock.position_embedding
        self.vision_model.embeddings = published

    def inputs_merger(
        self,
        input_ids: Tensor | None,
        inputs_embeds: Tensor,
        image_hidden_states: Tensor,
    ) -> Tensor:
        """Put visual tokens in the place of placeholders.

        Raises:
            PlaceholderMismatchError: If they differ in number, naming both.
        """
        if input_ids is not None:
            placeholders = int((input_ids == self.config.image_token_id).sum())
            visual_tokens = image_hidden_states.shape[0] * image_hidden_states.shape[1]
            if placeholders != visual_tokens:
                raise PlaceholderMismatchError(
                    f"{placeholders} placeholders but {visual_tokens} visual tokens "
                    f"({image_hidden_states.shape[0]} images of {image_hidden_states.shape[1]}); "
                    "inputs must come from one processor that has the model's sizes"
                )
        return super().inputs_merger(  # type: ignore[no-any-return]
            input_ids=input_ids,
            inputs_embeds=inputs_embeds,
            image_hidden_states=image_hidden_states,
        )

    def get_image_features(
        self, pixel_values: Tensor, pixel_attention_mask: Tensor | None = None, **_: Any
    ) -> BaseModelOutputWithPooling:
        """Encode padded images into visual tokens.

        A patch is attended to if any of its pixels is real. Images of zeros are padding.

        Args:
            pixel_values: (batch, images per sample, 3, height, width).
            pixel_attention_mask: 1 at real pixels, (batch, images per sample, height, width).

        Returns:
            `last_hidden_state`: (num_images, num_patches, vision dim);
            `pooler_output`: visual tokens, (num_images, latents, text dim).
        """
        pixels = pixel_values.to(dtype=self.dtype).flatten(0, 1)
        is_image = (pixels != 0).flatten(1).any(dim=1)
        pixels = pixels[is_image].contiguous()
        if pixel_attention_mask is None:
            mask = torch.ones_like(pixels[:, 0], dtype=torch.bool)
        else:
            mask = pixel_attention_mask.flatten(0, 1)[is_image].bool()
        side = self.config.vision_config.patch_size
        patches = mask.unfold(1, side, side).unfold(2, side, side)
        patch_mask = patches.flatten(-2).any(dim=-1)  # (num_images, rows, cols)
        output = self.vision_model(pixel_values=pixels, patch_attention_mask=patch_mask)
        output.pooler_output = self.connector(
            output.last_hidden_state, attention_mask=patch_mask.flatten(1)
        )
        return output


class LeopardIdefics2ForConditionalGeneration(Idefics2ForConditionalGeneration):
    """Leopard-Idefics2 with its language head; loads published `idefics2` folders."""

    config_class = LeopardIdefics2Config

    def __init__(self, config: LeopardIdefics2Config) -> None:
        # The parent would build the stock model first: 8 billion weights for nothing.
        Idefics2PreTrainedModel.__init__(self, config)
        self.model = LeopardIdefics2Model(config)
        self.image_token_id = config.image_token_id
        text: Any = config.text_config
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        self.vocab_size = text.vocab_size
        self.post_init()
        self._forbid_placeholders()

    def _forbid_placeholders(self) -> None:
        if self.generation_config is not None:
            known = self.generation_config.suppress_tokens or []
            self.generation_config.suppress_tokens = sorted({*known, self.config.image_token_id})

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As `PreTrainedModel.from_pretrained`; placeholders are never generated."""
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model._forbid_placeholders()
        return loaded


def register() -> None:
    """Make transformers' Auto classes know Leopard-Idefics2; safe to call again."""
    AutoConfig.register(LeopardIdefics2Config.model_type, LeopardIdefics2Config, exist_ok=True)
    AutoModel.register(LeopardIdefics2Config, LeopardIdefics2Model, exist_ok=True)
    AutoModelForImageTextToText.register(
        LeopardIdefics2Config, LeopardIdefics2ForConditionalGeneration, exist_ok=True
    )
