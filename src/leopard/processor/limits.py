"""Limits of a prompt: how many images it shows and how many tokens it takes.

Knows integers only.
"""

from __future__ import annotations

from collections.abc import Sequence

from leopard.errors import ContextLengthError
from leopard.processor.crops import CropPlan, too_many_images
from leopard.processor.settings import ProcessorSettings


def kept_images(num_images: int, settings: ProcessorSettings) -> Sequence[int]:
    """Indices of the images that are shown."""
    most = settings.max_crops
    if num_images <= most:
        return range(num_images)
    if settings.on_too_many_images == "error":
        raise too_many_images(num_images, most)
    if settings.on_too_many_images == "first" or most == 1:
        return range(most)
    # First and last image are kept, the others evenly between, rounded half up.
    steps = most - 1
    return [(2 * index * (num_images - 1) + steps) // (2 * steps) for index in range(most)]


def check_length(length: int, plan: CropPlan, limit: int | None) -> None:
    """Check that an expanded prompt fits.

    Args:
        length: Tokens of the prompt, images expanded.
        plan: The crops in it.
        limit: Most tokens, or None.

    Raises:
        ContextLengthError: Saying by how much it is too long and what would fit.
    """
    if limit is None or length <= limit:
        return
    per_crop = plan.geometry.visual_tokens_per_crop
    text = length - plan.visual_tokens
    room = max(limit - text, 0) // per_crop
    if room >= max(len(plan.images), 1):
        remedy = f"max_crops={room} would fit"
    elif room >= 1:
        remedy = f"{room} images as thumbnails would fit (max_crops={room}): choose pages"
    else:
        remedy = f"without images {max(limit - text, 0)} tokens are left: shorten the text"
    raise ContextLengthError(
        f"the prompt takes {length} tokens ({plan.visual_tokens} visual of {plan.num_crops} crops, "
        f"{text} of text), {length - limit} more than the limit of {limit}; {remedy}"
    )
