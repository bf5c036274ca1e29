"""Images and messages to model inputs; owns the placeholder invariant.

Public names load on first use, so that the pure integer modules stay free of torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leopard.processor.allocation import allocate_tiles
    from leopard.processor.crops import CropPlan, plan_crops
    from leopard.processor.grid import choose_grid
    from leopard.processor.processor import LeopardProcessor

__all__ = ["CropPlan", "LeopardProcessor", "allocate_tiles", "choose_grid", "plan_crops"]

_HOMES = {
    "CropPlan": "leopard.processor.crops",
    "LeopardProcessor": "leopard.processor.processor",
    "allocate_tiles": "leopard.processor.allocation",
    "choose_grid": "leopard.processor.grid",
    "plan_crops": "leopard.processor.crops",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'leopard.processor' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
