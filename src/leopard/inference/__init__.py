"""The local Generator: engine, caches, and the `Leopard` facade.

Public names load on first use, so that the fake generator needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leopard.inference.engine import LocalGenerator
    from leopard.inference.fake import FakeGenerator
    from leopard.inference.leopard import Answer, DocumentSession, Leopard

__all__ = ["Answer", "DocumentSession", "FakeGenerator", "Leopard", "LocalGenerator"]

_HOMES = {
    "Answer": "leopard.inference.leopard",
    "DocumentSession": "leopard.inference.leopard",
    "FakeGenerator": "leopard.inference.fake",
    "Leopard": "leopard.inference.leopard",
    "LocalGenerator": "leopard.inference.engine",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'leopard.inference' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
