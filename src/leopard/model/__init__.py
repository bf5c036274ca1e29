"""The Leopard models: connector and composition of transformers classes, and their weights.

Importing this package makes transformers' Auto classes know the `leopard` model type.
"""

from leopard.model import reader as _reader  # noqa: F401 - registers the reading encoder
from leopard.model.config import LeopardConfig
from leopard.model.leopard import LeopardForConditionalGeneration, LeopardModel, register

__all__ = ["LeopardConfig", "LeopardForConditionalGeneration", "LeopardModel", "register"]

register()
