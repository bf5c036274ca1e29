"""The allocation rule of the released models, bit for bit.

It wastes budget: counts are floored, a single tile is thrown away, and nothing is handed on. Kept
because the published checkpoints were evaluated with it.
"""

from __future__ import annotations

from leopard.processor.policies.registry import TileRequest, register


@register("published")
def allocate(request: TileRequest) -> list[int]:
    """Scale every image's own demand by one factor (paper 3.2; published `allocate_patches`).

    Demand is `round(width / crop) * round(height / crop)`, halves to even, with 1 counted as 0.
    Above the budget each demand is multiplied by `budget / total`, a float, and truncated; the
    float error of that product is part of the rule. Weights are ignored.
    """
    demands = [_demand(size.width, size.height, request.crop_size) for size in request.sizes]
    total = sum(demands)
    if total <= request.budget:
        return demands
    scale = request.budget / total
    return [int(demand * scale) for demand in demands]


def _demand(width: int, height: int, crop_size: int) -> int:
    tiles = round(width / crop_size) * round(height / crop_size)
    return 0 if tiles == 1 else tiles
