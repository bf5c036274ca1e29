"""Allocation policies: each module holds one rule that shares a tile budget over images.

To add a rule, add a module with a function of the shape `Policy` under `@register("name")`; it is
found here. It may look at the images and at the question: see `Content`. Knows nothing of pixels,
prompts or torch.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from leopard.processor.policies.registry import (
    Content,
    Policy,
    TileRequest,
    find_policy,
    policy_names,
)

__all__ = ["Content", "Policy", "TileRequest", "find_policy", "policy_names"]

for _module in sorted(found.name for found in iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")
