"""Shares a tile budget over the images of a prompt.

The rules themselves are in `leopard.processor.policies`. Knows integers only: no pixels, tokens or
torch.
"""

from __future__ import annotations

from collections.abc import Sequence

from leopard.errors import BudgetError, ConfigError, GeometryError
from leopard.processor.policies import Content, TileRequest, find_policy, policy_names
from leopard.schema.geometry import ImageSize

__all__ = ["DEFAULT_POLICY", "allocate_tiles", "policy_names"]

DEFAULT_POLICY = "published"
"""The rule of the released models; it must be theirs because they were evaluated with it."""


def allocate_tiles(
    sizes: Sequence[ImageSize],
    *,
    budget: int,
    crop_size: int,
    policy: str = DEFAULT_POLICY,
    content: Content | None = None,
    max_per_image: int | None = None,
) -> list[int]:
    """Share a tile budget over images by how many tiles each could fill.

    Args:
        sizes: Image sizes in pixels, in prompt order.
        budget: Most tiles in the prompt, thumbnails not counted.
        crop_size: Side of a square tile, in pixels.
        policy: `published` reproduces the released rule bit for bit; `fill` spends what that
            rule leaves unused.
        content: Images, question and weights for policies that look at them; `fill` multiplies
            areas by the weights, `published` ignores all.
        max_per_image: Most tiles of one image; no limit by default.

    Returns:
        Tiles per image, in order; 0 means thumbnail only. The sum is never above `budget`.

    Raises:
        BudgetError: If `budget` is negative.
        ConfigError: If the policy is unknown or the content does not fit the images.
        GeometryError: If `crop_size` is below 1.

    Example:
        >>> allocate_tiles([ImageSize(1700, 2200)] * 3, budget=47, crop_size=364)
        [15, 15, 15]
    """
    rule = find_policy(policy)
    if crop_size < 1:
        raise GeometryError(f"crop_size is {crop_size}; a crop has at least 1 pixel on a side")
    if budget < 0:
        raise BudgetError(
            f"tile budget is {budget}; it must be 0 or more: use fewer images or a larger max_crops"
        )
    content = content or Content()
    _check(content, len(sizes))
    if not sizes or budget == 0:
        return [0] * len(sizes)
    request = TileRequest(
        sizes=tuple(sizes),
        budget=budget,
        crop_size=crop_size,
        most_per_image=budget if max_per_image is None else max_per_image,
        content=content,
    )
    tiles = [min(count, request.most_per_image) for count in rule(request)]
    assert len(tiles) == len(sizes), f"policy {policy} answered for {len(tiles)} images"
    assert min(tiles) >= 0, f"policy {policy} gave a negative count: {tiles}"
    assert sum(tiles) <= budget, f"policy {policy} gave {sum(tiles)} tiles of {budget}"
    return tiles


def _check(content: Content, num_images: int) -> None:
    weights = content.weights
    if weights is not None and (len(weights) != num_images or min(weights, default=0) < 0):
        raise ConfigError(
            f"weights are {list(weights)}; give one integer of 0 or more for each of the "
            f"{num_images} images"
        )
    if content.images and len(content.images) != num_images:
        raise ConfigError(
            f"{len(content.images)} images to look at but {num_images} sizes; give both alike"
        )
