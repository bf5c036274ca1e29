"""The Leopard models: connector and composition of transformers classes, and their weights.

Importing this package makes transformers' Auto classes know the `leopard` model type.
"""

from leopard.model import reader as _reader  # noqa: F401 - registers the reading encoder
from leopard.model.config import LeopardConfig
from leopard.model.idefics2 import (
    LeopardIdefics2Config,
    LeopardIdefics2ForConditionalGeneration,
)
from leopard.model.idefics2 import register as _register_idefics2
from leopard.model.leopard import LeopardForConditionalGeneration, LeopardModel
from leopard.model.leopard import register as _register_leopard

__all__ = [
    "LeopardConfig",
    "LeopardForConditionalGeneration",
    "LeopardIdefics2Config",
    "LeopardIdefics2ForConditionalGeneration",
    "LeopardModel",
    "register",
]


def register() -> None:
    """Make transformers' Auto classes know both kinds of Leopard; safe to call again."""
    _register_leopard()
    _register_idefics2()


register()
