"""What is saved with a processor, and what a single call may change.

Knows nothing of tokenizers, pixels or torch.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from leopard.config import Settings, build
from leopard.processor.crops import Normalisation
from leopard.processor.policies import find_policy
from leopard.processor.prompt import Ending, ImageLayout, find_layout
from leopard.processor.tokens import TokenNames
from leopard.schema.geometry import CropGeometry

OnTooManyImages = Literal["error", "first", "uniform"]


class ProcessorSettings(Settings):
    """Settings of a processor; the defaults are those of the published Leopard-LLaVA."""

    crop_size: int = 364
    """Side of a crop, in pixels."""
    patch_size: int = 14
    """Side of a vision-encoder patch, in pixels."""
    shuffle_factor: int = 2
    """Patches merged along each side by pixel shuffle."""
    max_crops: int = Field(default=50, ge=1)
    """Most crops in a prompt, thumbnails and tiles (paper 3.2: M = 50)."""
    max_tiles_per_image: int | None = Field(default=None, ge=1)
    """Most tiles of one image, for models that read best at one size of text; None: no limit."""
    reading_dpi: float | None = Field(default=None, ge=72)
    """Pixels per inch above which pages of documents are not drawn, for such models; they get white
    margins up to whole crops then. None: as large as their tiles."""
    policy: str = "published"
    """Allocation policy that shares the tile budget."""
    layout: str = "published-inference"
    """Order of crops and tags inside an image."""
    image_mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Subtracted per channel after scaling."""
    image_std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Divided by per channel."""
    rescale_factor: float = Field(default=1 / 255, gt=0)
    """Multiplied with each byte first."""
    on_too_many_images: OnTooManyImages = "error"
    """With more images than `max_crops`: refuse, keep the first, or keep some spread evenly."""
    tokens: TokenNames = TokenNames()
    """Texts of the special tokens."""
    context_length: int | None = None
    """Most tokens of an expanded prompt; None means no limit is known."""
    embedding_rows: int | None = None
    """Rows of the model's embedding table; None when unknown."""

    def model_post_init(self, _context: Any, /) -> None:
        """Check what has to exist elsewhere."""
        find_policy(self.policy)
        find_layout(self.layout)
        assert self.geometry.visual_tokens_per_crop > 0

    @property
    def geometry(self) -> CropGeometry:
        """How one crop becomes visual tokens."""
        return CropGeometry(
            crop_size=self.crop_size,
            patch_size=self.patch_size,
            shuffle_factor=self.shuffle_factor,
        )

    @property
    def image_layout(self) -> ImageLayout:
        """The layout that `layout` names."""
        return find_layout(self.layout)

    @property
    def normalisation(self) -> Normalisation:
        """How bytes become values."""
        return Normalisation(mean=self.image_mean, std=self.image_std, scale=self.rescale_factor)


class CallOptions(Settings):
    """What one call of a processor may set; the names are those of transformers where it has any.

    `None` means: as the processor's own settings say.
    """

    return_tensors: Literal["pt", "np"] | None = "pt"
    """`pt` for torch, `np` for numpy, None for lists."""
    padding: bool | Literal["longest"] = True
    """Whether prompts of a batch are padded to the longest; tensors need it."""
    padding_side: Literal["left", "right"] = "left"
    """Where padding goes; left for generation."""
    add_generation_prompt: bool = True
    """Whether messages end with an opened assistant turn."""
    continue_final_message: bool = False
    """Whether the last turn stays open, so that the model goes on in it; instead of opening one."""
    rendered: bool = False
    """Whether strings are prompts of the chat template, their special tokens real. Trusted only."""
    max_length: int | None = Field(default=None, ge=1)
    """Most tokens of an expanded prompt; longer ones are refused, never cut."""
    max_crops: int | None = Field(default=None, ge=1)
    policy: str | None = None
    on_too_many_images: OnTooManyImages | None = None
    return_mm_token_type_ids: bool = False
    """Whether to mark placeholders by 1 in `mm_token_type_ids`."""
    return_assistant_tokens_mask: bool = False
    """Whether to mark tokens of assistant turns by 1 in `assistant_masks`."""

    @property
    def ending(self) -> Ending:
        """How prompts end."""
        if self.continue_final_message:
            return "continued"
        return "answer" if self.add_generation_prompt else "closed"

    def applied_to(self, settings: ProcessorSettings) -> ProcessorSettings:
        """Settings with this call's own values put in.

        Raises:
            ConfigError: If a value is outside its range.
        """
        own = {
            "max_crops": self.max_crops,
            "policy": self.policy,
            "on_too_many_images": self.on_too_many_images,
            "context_length": self.max_length,
        }
        own = {name: value for name, value in own.items() if value is not None}
        return build(ProcessorSettings, {**dict(settings), **own}) if own else settings
