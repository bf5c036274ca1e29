"""Leopard: questions over many text-rich images at once.

Public names load on first use: importing `leopard` loads neither torch nor transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leopard.inference.leopard import Answer, Leopard

__version__ = "0.1.0"
__all__ = ["Answer", "Leopard", "__version__"]

_HOMES = {"Leopard": "leopard.inference.leopard", "Answer": "leopard.inference.leopard"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'leopard' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
