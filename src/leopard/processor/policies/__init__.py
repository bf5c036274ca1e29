"""Allocation policies: each module holds one rule that shares a tile budget over images.

To add a rule, add a module with a function of the shape `Policy` under `@register("name")` and
import it here. Knows nothing of pixels, prompts or torch.
"""

from __future__ import annotations

from leopard.processor.policies import fill, published
from leopard.processor.policies.registry import Policy, TileRequest, find_policy, policy_names

__all__ = ["Policy", "TileRequest", "fill", "find_policy", "policy_names", "published"]
