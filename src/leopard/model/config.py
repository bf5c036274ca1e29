"""Sizes of a Leopard model: a vision encoder, a connector and a language model.

Knows the crop geometry that follows from them; knows nothing of weights, prompts or files.
"""

from __future__ import annotations

from typing import Any, ClassVar

from transformers import AutoConfig, PreTrainedConfig

from leopard.errors import CheckpointError, ConfigError
from leopard.schema.geometry import CropGeometry

PUBLISHED_VISION: dict[str, Any] = {
    "model_type": "siglip_vision_model",
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 364,
    "patch_size": 14,
}
"""SigLIP SO400M/14 at 364 px, the encoder of the paper (3.2)."""

PUBLISHED_TEXT: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 16384,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {
        "rope_type": "llama3",
        "rope_theta": 500000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    "bos_token_id": 128000,
    "eos_token_id": 128001,
}
"""LLaMA-3.1-8B, the language model of the paper, at the training length of 16384."""


class LeopardConfig(PreTrainedConfig):
    """Configuration of a Leopard model.

    Reads the configuration files of published checkpoints too: `image_token_index` stands for
    `image_token_id`, `multimodal_projector_bias` for `projector_bias`, and the keys that say
    which vision layer to use are ignored, as the published code ignores them.

    Args:
        vision_config: Sizes of the vision encoder: any type known to transformers whose output
            `last_hidden_state` is (num_crops, num_patches, hidden_size), row-major, no class token.
        text_config: Sizes of the language model: any causal language model of transformers.
        image_token_id: Token id of a placeholder, the position that one visual token takes.
        shuffle_factor: Pixel shuffle merges this many patches along each side (paper 3.2: 2).
        projector_hidden_act: Activation between the two linear layers of the projector.
        projector_bias: Whether the projector's linear layers have a bias.
        vision_chunk_size: Most crops that go through the vision encoder at once.
        unrounded_layers: Layers of the language model that stay in full precision where weights
            are rounded to few bits.

    Raises:
        CheckpointError: If two names of the image token hold different ids, or the id has no row
            in the embedding table.
        GeometryError: If the sizes do not make whole visual tokens.
    """

    model_type = "leopard"
    sub_configs: ClassVar[dict[str, Any]] = {
        "vision_config": AutoConfig,
        "text_config": AutoConfig,
    }

    vision_config: dict[str, Any] | PreTrainedConfig | None = None
    text_config: dict[str, Any] | PreTrainedConfig | None = None
    image_token_id: int | None = None
    shuffle_factor: int = 2
    projector_hidden_act: str = "gelu"
    projector_bias: bool = True
    vision_chunk_size: int = 16
    unrounded_layers: list[int] | None = None
    initializer_range: float = 0.02
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        """Build the parts from plain values and check that they fit together."""
        kwargs = _without_published_leftovers(kwargs)
        self.image_token_id = _agreed_image_token(
            self.image_token_id, kwargs.pop("image_token_index", None)
        )
        if (bias := kwargs.pop("multimodal_projector_bias", None)) is not None:
            self.projector_bias = bias
        vision = _sub_config(self.vision_config, PUBLISHED_VISION)
        # The pooling head of SigLIP never feeds the language model (paper 3.2 uses patches only).
        vision.vision_use_head = False
        self.vision_config = vision
        self.text_config = _sub_config(self.text_config, PUBLISHED_TEXT)
        if getattr(self.text_config, "tie_word_embeddings", False):
            self.tie_word_embeddings = True
        super().__post_init__(**kwargs)
        self._check()

    def _check(self) -> None:
        if self.vision_chunk_size < 1:
            raise ConfigError(
                f"vision_chunk_size is {self.vision_chunk_size}; it must be 1 or more"
            )
        rows = self.text_config.vocab_size  # type: ignore[union-attr]
        if not 0 <= (self.image_token_id or 0) < rows:
            raise CheckpointError(
                f"image_token_id is {self.image_token_id}, but the embedding table has {rows} "
                "rows; the configuration and the tokenizer must come from one checkpoint"
            )
        assert self.crop_geometry.visual_tokens_per_crop > 0

    @classmethod
    def get_config_dict(cls, *args: Any, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Read `config.json`; LLaVA-style files of published checkpoints count as ours.

        Raises:
            CheckpointError: If the folder holds another kind of model.
        """
        values, rest = super().get_config_dict(*args, **kwargs)
        kind = values.get("model_type", cls.model_type)
        if kind not in (cls.model_type, "llava"):
            raise CheckpointError(
                f"model_type is {kind!r} where a Leopard model must have 'leopard' or 'llava'; "
                "load it with the class for its kind"
            )
        return {**values, "model_type": cls.model_type}, rest

    @property
    def joins_tiles(self) -> bool:
        """Whether the vision encoder must know which tiles make up a page."""
        return bool(getattr(self.vision_config, "joins_tiles", False))

    @property
    def crop_geometry(self) -> CropGeometry:
        """How one crop becomes visual tokens; 364 px, 14-px patches, factor 2 when published."""
        vision: Any = self.vision_config
        return CropGeometry(
            crop_size=_side(vision.image_size),
            patch_size=_side(vision.patch_size),
            shuffle_factor=self.shuffle_factor,
        )


def _side(value: Any) -> int:
    """One side of a square given as a number or as two equal numbers."""
    if isinstance(value, int):
        return value
    height, width = value
    if height != width:
        raise ConfigError(f"vision_config has {height}x{width} where crops must be square")
    return int(height)


def _sub_config(value: Any, published: dict[str, Any]) -> PreTrainedConfig:
    """A configuration object from an object, plain values, or nothing (the published sizes)."""
    if isinstance(value, PreTrainedConfig):
        return value
    values = dict(published if value is None else value)
    model_type = values.pop("model_type", published["model_type"])
    return AutoConfig.for_model(model_type, **values)


def _agreed_image_token(image_token_id: int | None, image_token_index: int | None) -> int:
    if image_token_id is None:
        return 128200 if image_token_index is None else image_token_index
    if image_token_index not in (None, image_token_id):
        raise CheckpointError(
            f"the configuration says image_token_id {image_token_id} and image_token_index "
            f"{image_token_index}; keep the one that the tokenizer uses for placeholders"
        )
    return image_token_id


def _without_published_leftovers(values: dict[str, Any]) -> dict[str, Any]:
    """Drop keys of the published configuration that change nothing in a Leopard model."""
    ignored = {
        "ignore_index",
        "image_seq_length",
        "vision_feature_layer",
        "vision_feature_select_strategy",
    }
    return {key: value for key, value in values.items() if key not in ignored}
