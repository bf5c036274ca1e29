"""The Leopard model: vision encoder, connector and language model of transformers, put together.

Visual tokens replace the placeholders of a prompt one by one. Knows nothing of images or text:
`leopard.processor` makes its inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    GenerationMixin,
    PreTrainedModel,
)
from transformers.cache_utils import Cache
from transformers.modeling_outputs import BaseModelOutputWithPooling, ModelOutput

from leopard.errors import PlaceholderMismatchError
from leopard.model.config import LeopardConfig
from leopard.model.connector import Connector

PUBLISHED_NAMES: dict[str, str] = {
    r"^vision_tower\.vision_model\.": "model.vision_encoder.",
    r"^vision_tower\.": "model.vision_encoder.",
    r"^model\.vision_tower\.vision_model\.": "model.vision_encoder.",
    r"^model\.vision_tower\.": "model.vision_encoder.",
    r"^multi_modal_projector\.": "model.connector.",
    r"^model\.multi_modal_projector\.": "model.connector.",
    r"^language_model\.lm_head\.": "lm_head.",
    r"^language_model\.model\.": "model.language_model.",
}
"""Tensor names in published checkpoints, in all their versions, to the names used here."""


@dataclass
class LeopardModelOutput(ModelOutput):
    """What the model without its language head returns."""

    last_hidden_state: Tensor | None = None
    """(batch, length, dim), after the final norm."""
    past_key_values: Cache | None = None
    """Keys and values of all positions so far."""
    hidden_states: tuple[Tensor, ...] | None = None
    """Outputs of all layers, when asked for."""
    attentions: tuple[Tensor, ...] | None = None
    """Attention weights of all layers, when asked for."""
    image_hidden_states: Tensor | None = None
    """Visual tokens, (num_crops, visual_tokens_per_crop, dim), when images were given."""


@dataclass
class LeopardCausalLMOutput(LeopardModelOutput):
    """What the whole model returns."""

    loss: Tensor | None = None
    """Mean cross entropy over labels that are not -100, when labels were given."""
    logits: Tensor | None = None
    """(batch, positions kept, vocabulary)."""


class LeopardPreTrainedModel(PreTrainedModel):
    """What transformers must know about every Leopard model."""

    config_class = LeopardConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    input_modalities = ("image", "text")
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _skip_keys_device_placement: ClassVar[list[str]] = ["past_key_values"]
    # The pooling head of SigLIP is in some checkpoints and never used.
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"vision_encoder\.head\."]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # Parts that are models of their own initialise themselves.
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint from a folder or by its hub name, under any known tensor names.

        Takes what `PreTrainedModel.from_pretrained` takes. Folders written by this project and the
        published LLaVA-style checkpoints both load.
        """
        kwargs.setdefault("key_mapping", PUBLISHED_NAMES)
        return super().from_pretrained(*args, **kwargs)

    def save_pretrained(self, *args: Any, **kwargs: Any) -> Any:
        """Save as safetensors, always under the names used here whatever was loaded."""
        kwargs.setdefault("save_original_format", False)
        return super().save_pretrained(*args, **kwargs)


class LeopardModel(LeopardPreTrainedModel):
    """Vision encoder, connector and language model without its head."""

    def __init__(self, config: LeopardConfig) -> None:
        super().__init__(config)
        vision: Any = config.vision_config
        text: Any = config.text_config
        self.vision_encoder = AutoModel.from_config(vision)
        self.connector = Connector(
            vision.hidden_size,
            text.hidden_size,
            shuffle_factor=config.shuffle_factor,
            hidden_act=config.projector_hidden_act,
            bias=config.projector_bias,
        )
        self.language_model = AutoModel.from_config(text)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The embedding table of the language model."""
        return self.language_model.get_input_embeddings()  # type: ignore[no-any-return]

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the embedding table of the language model."""
        self.language_model.set_input_embeddings(value)

    def get_image_features(
        self, pixel_values: Tensor, grids: Tensor | None = None, **_: Any
    ) -> BaseModelOutputWithPooling:
        """Encode crops into visual tokens, a bounded number of crops at a time.

        Args:
            pixel_values: Normalised crops, (num_crops, 3, crop_size, crop_size).
            grids: Rows and columns of tiles of each image, (num_images, 2), 0 where its thumbnail
                is all. Only encoders that join tiles need it.

        Returns:
            `last_hidden_state`: patch features, (num_crops, num_patches, vision dim);
            `pooler_output`: visual tokens, (num_crops, visual_tokens_per_crop, text dim).

        Raises:
            ValueError: If an encoder that joins tiles is given no grids, or those of other images.
        """
        weight = self.connector.linear_1.weight
        pixels = pixel_values.to(dtype=weight.dtype)
        features = self._patch_features(pixels, grids)
        tokens = [
            self.connector(chunk.to(weight.device))
            for chunk in features.split(self.config.vision_chunk_size)
        ]
        return BaseModelOutputWithPooling(
            last_hidden_state=features, pooler_output=torch.cat(tokens)
        )

    def _patch_features(self, pixels: Tensor, grids: Tensor | None) -> Tensor:
        chunk = self.config.vision_chunk_size
        if not self.config.joins_tiles:
            return torch.cat(
                [
                    self.vision_encoder(pixel_values=part).last_hidden_state
                    for part in pixels.split(chunk)
                ]
            )
        if grids is None:
            raise ValueError(
                f"grids is missing for {len(pixels)} crops, and this vision encoder joins the "
                "tiles of a page; pass on what the processor returns, `grids` with `pixel_values`"
            )
        pairs = [(int(rows), int(columns)) for rows, columns in grids.tolist()]
        found: Tensor = self.vision_encoder(
            pixel_values=pixels, grids=pairs, chunk=chunk
        ).last_hidden_state
        return found

    def get_placeholder_mask(
        self, input_ids: Tensor | None, inputs_embeds: Tensor, image_features: Tensor
    ) -> Tensor:
        """Find the placeholders and check that there is one for each visual token.

        Args:
            input_ids: (batch, length), or None when only embeddings are given.
            inputs_embeds: (batch, length, dim).
            image_features: Visual tokens, (..., dim).

        Returns:
            True at placeholders, (batch, length, 1).

        Raises:
            PlaceholderMismatchError: Naming both numbers.
        """
        image_token = self.config.image_token_id
        if input_ids is None:
            row = torch.tensor(image_token, device=inputs_embeds.device)
            mask: Tensor = (inputs_embeds == self.get_input_embeddings()(row)).all(-1)
        else:
            mask = (input_ids == image_token).to(inputs_embeds.device)
        if not torch.compiler.is_compiling():
            placeholders = int(mask.sum())
            visual_tokens = image_features.numel() // image_features.shape[-1]
            if placeholders != visual_tokens:
                per_crop = self.config.crop_geometry.visual_tokens_per_crop
                raise PlaceholderMismatchError(
                    f"{placeholders} placeholders (token {image_token}) but {visual_tokens} visual "
                    f"tokens ({visual_tokens // per_crop} crops of {per_crop}); inputs must come "
                    "from one processor that has the model's crop geometry"
                )
        return mask.unsqueeze(-1)

    def forward(  # noqa: PLR0913 - the signature that transformers asks of a model
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        image_features: Tensor | None = None,
        grids: Tensor | None = None,
        **kwargs: Any,
    ) -> LeopardModelOutput:
        """Run the model.

        Args:
            input_ids: Token ids with placeholders, (batch, length). Or give `inputs_embeds`.
            pixel_values: Crops of all prompts in prompt order, (num_crops, 3, side, side).
            attention_mask: 1 at real positions, (batch, length so far).
            position_ids: Positions, (batch, length); counted from 0 when absent.
            past_key_values: Keys and values of earlier positions.
            inputs_embeds: Embeddings, (batch, length, dim), instead of `input_ids`.
            image_features: Visual tokens encoded before, (num_crops, tokens, dim), instead of
                `pixel_values`.
            grids: Rows and columns of tiles of each image, (num_images, 2); see
                `get_image_features`.
            **kwargs: Passed to the language model.

        Raises:
            PlaceholderMismatchError: If placeholders and visual tokens differ in number.
            ValueError: If both or neither of `input_ids` and `inputs_embeds` are given.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        if pixel_values is not None and image_features is None:
            image_features = self.get_image_features(pixel_values, grids).pooler_output
        embeds = self.get_input_embeddings()(input_ids) if inputs_embeds is None else inputs_embeds
        if image_features is not None:
            features = image_features.to(embeds.device, embeds.dtype)
            mask = self.get_placeholder_mask(input_ids, embeds, features)
            embeds = embeds.masked_scatter(mask, features)
        kwargs.pop("return_dict", None)
        outputs = self.language_model(
            inputs_embeds=embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            return_dict=True,
            **kwargs,
        )
        return LeopardModelOutput(
            last_hidden_state=outputs.last_hidden_state,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=image_features,
        )


class LeopardForConditionalGeneration(LeopardPreTrainedModel, GenerationMixin):
    """The whole model: reads crops and text, writes text."""

    _tied_weights_keys: ClassVar[dict[str, str]] = {
        "lm_head.weight": "model.language_model.embed_tokens.weight"
    }

    def __init__(self, config: LeopardConfig) -> None:
        super().__init__(config)
        self.model = LeopardModel(config)
        text: Any = config.text_config
        self.lm_head: nn.Module = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        self.post_init()
        self._forbid_placeholders()

    def _forbid_placeholders(self) -> None:
        """A placeholder stands for pixels; it must never be written by the model."""
        if self.generation_config is not None:
            known = self.generation_config.suppress_tokens or []
            self.generation_config.suppress_tokens = sorted({*known, self.config.image_token_id})

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As `LeopardPreTrainedModel.from_pretrained`; placeholders are never generated."""
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model._forbid_placeholders()
        return loaded

    def get_input_embeddings(self) -> nn.Module:
        """The embedding table of the language model."""
        return self.model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the embedding table of the language model."""
        self.model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """The language head."""
        return self.lm_head

    def set_output_embeddings(self, value: nn.Module) -> None:
        """Replace the language head."""
        self.lm_head = value

    def get_image_features(self, pixel_values: Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """See `LeopardModel.get_image_features`."""
        return self.model.get_image_features(pixel_values, **kwargs)

    def forward(  # noqa: PLR0913 - the signature that transformers asks of a model
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        image_features: Tensor | None = None,
        grids: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> LeopardCausalLMOutput:
        """Run the model and its language head.

        Args:
            input_ids: Token ids with placeholders, (batch, length). Or give `inputs_embeds`.
            pixel_values: Crops of all prompts in prompt order, (num_crops, 3, side, side).
            attention_mask: 1 at real positions, (batch, length so far).
            position_ids: Positions, (batch, length); counted from 0 when absent.
            past_key_values: Keys and values of earlier positions.
            inputs_embeds: Embeddings, (batch, length, dim), instead of `input_ids`.
            image_features: Visual tokens encoded before, (num_crops, tokens, dim).
            grids: Rows and columns of tiles of each image, (num_images, 2); see
                `LeopardModel.get_image_features`.
            labels: Ids to be predicted, (batch, length), unshifted; -100 does not count.
            logits_to_keep: 0 for all positions, n for the last n, or indices of positions.
            **kwargs: Passed to the language model; `num_items_in_batch` divides the summed loss.

        Returns:
            Logits, and the loss when labels are given: the mean over all labels that are not -100,
            or the sum divided by `num_items_in_batch` where a trainer counts over several batches.
        """
        num_items = kwargs.pop("num_items_in_batch", None)
        outputs = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            image_features=image_features,
            grids=grids,
            **kwargs,
        )
        hidden = outputs.last_hidden_state
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(hidden[:, kept, :])
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits=logits,
                labels=labels,
                vocab_size=logits.shape[-1],
                num_items_in_batch=num_items,
            )
        return LeopardCausalLMOutput(loss=loss, logits=logits, **outputs)

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, *args: Any, is_first_iteration: bool = False, **kwargs: Any
    ) -> dict[str, Any]:
        """Model inputs of one decoding step; pixels and visual tokens go in on the first only."""
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(
            input_ids, *args, is_first_iteration=is_first_iteration, **kwargs
        )
        if not is_first_iteration and kwargs.get("use_cache", True):
            for name in ("pixel_values", "image_features", "grids"):
                inputs.pop(name, None)
        return inputs

    def _expand_inputs_for_generation(
        self,
        expand_size: int = 1,
        is_encoder_decoder: bool = False,
        input_ids: Tensor | None = None,
        **model_kwargs: Any,
    ) -> tuple[Tensor | None, dict[str, Any]]:
        """Repeat each prompt for beams; its crops are repeated as a group, in order."""
        names = ("pixel_values", "image_features", "grids")
        vision = {name: model_kwargs.pop(name, None) for name in names}
        counts = self._crops_per_prompt(input_ids) if expand_size > 1 else None
        for name, value in vision.items():
            if value is not None and counts is not None:
                parts = _images_per_prompt(value, counts) if name == "grids" else counts
                groups = value.split(parts)
                vision[name] = torch.cat([group for group in groups for _ in range(expand_size)])
        expanded, model_kwargs = super()._expand_inputs_for_generation(
            expand_size, is_encoder_decoder, input_ids, **model_kwargs
        )
        model_kwargs.update({name: value for name, value in vision.items() if value is not None})
        return expanded, model_kwargs

    def _crops_per_prompt(self, input_ids: Tensor | None) -> list[int] | None:
        if input_ids is None:
            return None
        per_crop = self.config.crop_geometry.visual_tokens_per_crop
        placeholders = (input_ids == self.config.image_token_id).sum(dim=1)
        return [int(count) // per_crop for count in placeholders]


def _images_per_prompt(grids: Tensor, crops: Sequence[int]) -> list[int]:
    """Images of each prompt, by the crops it has."""
    ends = (1 + grids.prod(1)).cumsum(0)
    starts = torch.tensor([0, *crops], device=ends.device).cumsum(0)
    return [int(((ends > low) & (ends <= high)).sum()) for low, high in pairwise(starts.tolist())]


def register() -> None:
    """Make transformers' Auto classes know Leopard; safe to call again."""
    AutoConfig.register(LeopardConfig.model_type, LeopardConfig, exist_ok=True)
    AutoModel.register(LeopardConfig, LeopardModel, exist_ok=True)
    AutoModelForImageTextToText.register(
        LeopardConfig, LeopardForConditionalGeneration, exist_ok=True
    )
