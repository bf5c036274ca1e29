"""Leopard's images in vLLM's terms.

vLLM's caches take an image's crops to follow from that image alone. Here the name of every cached
thing also holds what the image became beside its neighbours, so the caches of crops, of visual
tokens and of prompt starts stay right, and an image that becomes the same is still found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from transformers import BatchFeature
from vllm.inputs import mm_input
from vllm.multimodal.inputs import MultiModalFieldConfig, PlaceholderRange
from vllm.multimodal.processing import (
    BaseDummyInputsBuilder,
    BaseMultiModalProcessor,
    BaseProcessingInfo,
)

from leopard.errors import LeopardError
from leopard.inference.loading import load_processor
from leopard.inference.vllm.prompt_images import (
    ImageShare,
    PromptImages,
    WholeImages,
    prompt_images,
    visual_spans,
)
from leopard.schema.geometry import ImageSize

_SHARES = "leopard_shares"


@lru_cache(maxsize=4)
def _load(origin: str, revision: str | None) -> Any:
    hub: dict[str, Any] = {} if revision is None else {"revision": revision}
    return load_processor(origin, **hub)


class LeopardInfo(BaseProcessingInfo):
    """What vLLM asks about a checkpoint before the first prompt."""

    def get_hf_processor(self, **_: Any) -> Any:
        """Leopard's own processor, whatever the Auto classes would find."""
        return _load(self.ctx.model_config.model, self.ctx.model_config.revision)

    @property
    def images(self) -> PromptImages:
        """How this checkpoint shows images."""
        return prompt_images(self.get_hf_processor())

    def get_supported_mm_limits(self) -> Mapping[str, int | None]:
        """Most images of a prompt."""
        return {"image": self.images.max_images}

    def get_mm_max_tokens_per_item(
        self,
        seq_len: int,  # noqa: ARG002 - vLLM's signature
        mm_counts: Mapping[str, int],  # noqa: ARG002
    ) -> Mapping[str, int]:
        """Most positions that one image takes: those of the largest image alone."""
        share = self.shares([self.images.largest()], {})[0]
        # Tags stand between the crops; there are fewer of them than visual tokens.
        return {"image": 2 * share.num_visual_tokens}

    def shares(self, sizes: Sequence[ImageSize], given: Mapping[str, object]) -> list[ImageShare]:
        """What images of one prompt become.

        Args:
            sizes: Their sizes, in prompt order.
            given: `mm_processor_kwargs` of the request.

        Raises:
            ValueError: If they do not fit; vLLM answers the client with it.
        """
        changes = self.ctx.get_merged_mm_kwargs(given)
        try:
            return self.images.shares(sizes, **changes)
        except LeopardError as error:
            raise ValueError(str(error)) from error


class LeopardDummyInputs(BaseDummyInputsBuilder[LeopardInfo]):
    """A prompt as large as they come, by which vLLM measures memory."""

    def get_dummy_text(self, mm_counts: Mapping[str, int]) -> str:
        """One placeholder for each image."""
        images: PromptImages = self.info.images
        return images.image_token * mm_counts.get("image", 0)

    def get_dummy_mm_data(
        self,
        seq_len: int,  # noqa: ARG002 - vLLM's signature
        mm_counts: Mapping[str, int],
        mm_options: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """Images of the largest size."""
        size = self.info.images.largest()
        images = self._get_dummy_images(
            width=size.width,
            height=size.height,
            num_images=mm_counts.get("image", 0),
            overrides=mm_options.get("image"),
        )
        return {"image": images}


class LeopardMultiModalProcessor(BaseMultiModalProcessor[LeopardInfo]):
    """Plans the whole prompt first; then caches and cuts images under their share of it."""

    def apply(self, inputs: Any, timing_ctx: Any) -> Any:
        """Make the inputs of one prompt; see `BaseMultiModalProcessor.apply`."""
        shares = self._shares(inputs.mm_data_items, inputs.hf_processor_mm_kwargs)
        result = self._cached_apply_hf_processor(inputs, timing_ctx)
        images = self.info.images
        try:
            ids = images.expand(list(result.prompt_ids), shares)
            spans = visual_spans(ids, images.image_token_id, shares)
        except LeopardError as error:
            raise ValueError(str(error)) from error
        ranges = [
            PlaceholderRange(offset=start, length=len(mask), is_embed=torch.tensor(mask))
            for start, mask in spans
        ]
        return mm_input(
            prompt_token_ids=ids,
            mm_kwargs=result.kwargs,
            mm_hashes=result.hashes,
            mm_placeholders={"image": ranges} if ranges else {},
        )

    def _get_mm_hashes(self, inputs: Any) -> Any:
        hashes = super()._get_mm_hashes(inputs)
        shares = self._shares(inputs.mm_data_items, inputs.hf_processor_mm_kwargs)
        if not shares:
            return hashes
        named = zip(hashes["image"], shares, strict=True)
        return {**hashes, "image": [f"{name}-{share.key}" for name, share in named]}

    def _get_cache_missing_processor_kwargs(self, inputs: Any, mm_is_cached: Any) -> Any:
        """Hand the shares of the missing images on: they do not follow from these alone."""
        shares = self._shares(inputs.mm_data_items, inputs.hf_processor_mm_kwargs)
        known = mm_is_cached.get("image", [])
        missing = [share for share, cached in zip(shares, known, strict=True) if not cached]
        return {**inputs.hf_processor_mm_kwargs, _SHARES: missing}

    def _apply_hf_processor_main(self, mm_items: Any, hf_kwargs: Mapping[str, Any]) -> BatchFeature:
        pictures = _pictures(mm_items)
        shares = hf_kwargs.get(_SHARES)
        if shares is None:
            shares = self._shares(mm_items, hf_kwargs)
        if not pictures:
            return BatchFeature()
        dtype = self.info.ctx.model_config.dtype
        found = self.info.images.pixels(pictures, shares)
        data: dict[str, Any] = {
            name: [tensor.to(dtype) if tensor.is_floating_point() else tensor for tensor in tensors]
            for name, tensors in found.items()
        }
        if isinstance(self.info.images, WholeImages):
            return BatchFeature(data)
        counts = [len(tensor) for tensor in data["pixel_values"]]
        data["pixel_values"] = torch.cat(data["pixel_values"])
        data["grids"] = torch.stack(data["grids"])
        return BatchFeature({**data, "num_image_patches": torch.tensor(counts)})

    def _get_mm_fields_config(
        self,
        hf_inputs: BatchFeature,
        hf_processor_mm_kwargs: Mapping[str, object],  # noqa: ARG002 - vLLM's signature
    ) -> Mapping[str, Any]:
        if not hf_inputs:
            return {}
        if isinstance(self.info.images, WholeImages):
            return {name: MultiModalFieldConfig.batched("image") for name in hf_inputs}
        counts = hf_inputs["num_image_patches"]
        return {
            "pixel_values": MultiModalFieldConfig.flat_from_sizes("image", counts),
            "grids": MultiModalFieldConfig.batched("image", keep_on_cpu=True),
            "num_image_patches": MultiModalFieldConfig.batched("image", keep_on_cpu=True),
        }

    def _get_prompt_updates(self, *_: Any, **__: Any) -> Sequence[Any]:
        """None: `apply` writes the whole prompt, because labels join the text before them."""
        return []

    def _get_mm_prompt_updates(self, mm_items: Any, *_: Any, **__: Any) -> Any:
        return {name: [[] for _ in range(n)] for name, n in mm_items.get_all_counts().items()}

    def _shares(self, mm_items: Any, given: Mapping[str, object]) -> list[ImageShare]:
        sizes = [ImageSize(image.width, image.height) for image in _pictures(mm_items)]
        found: list[ImageShare] = self.info.shares(sizes, given)
        return found


def _pictures(mm_items: Any) -> list[Any]:
    """The images of a prompt, or those that are missing from a cache.

    Raises:
        ValueError: If an image is only named: its size is needed to plan its neighbours.
    """
    items = mm_items.get("image")
    pictures = [] if items is None else [items.get(index) for index in range(len(items))]
    if not all(hasattr(picture, "width") for picture in pictures):
        raise ValueError(
            "images are given as names or arrays; send every image itself, because its crops "
            "depend on its neighbours"
        )
    return pictures
