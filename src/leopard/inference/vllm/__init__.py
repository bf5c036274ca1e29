"""Leopard in vLLM: the plugin that makes vLLM know both kinds of model, and vLLM as an engine.

vLLM finds `register` by itself, through the entry point `vllm.general_plugins` of this package.
"""

from __future__ import annotations

_MODELS = {
    "LeopardForConditionalGeneration": "leopard.inference.vllm.models:TiledLeopard",
    "LeopardIdefics2ForConditionalGeneration": "leopard.inference.vllm.models:WholeLeopard",
}


def register() -> None:
    """Make vLLM know Leopard's models; safe to call again, in every process."""
    from vllm import ModelRegistry

    import leopard.inference.loading
    import leopard.model  # noqa: F401 - registers with transformers' Auto classes

    known = ModelRegistry.get_supported_archs()
    for architecture, place in _MODELS.items():
        if architecture not in known:
            ModelRegistry.register_model(architecture, place)
