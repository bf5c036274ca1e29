"""Stages by name: the published runs and a tiny one. Values only.

Sources: the paper, section 4.1 and appendix A.2, and the released scripts where the paper is
silent. The released script trains the vision encoder too; the paper lists connector and language
model only, and so do these presets. The paper gives no numbers for stage 1; those are of LLaVA 1.5
(Liu et al. 2024, table 9), whose data and procedure stage 1 takes.
"""

from __future__ import annotations

from typing import Any

_FULL_MODEL = {"start": "wyu1/Leopard-LLaVA", "gradient_checkpointing": True}
_LARGE_BATCH = {"samples": 128, "tokens_per_pass": 16384, "crops_per_pass": 50}

LEOPARD_LLAVA: dict[str, Any] = {
    "out": "runs/leopard-llava",
    "epochs": 1,
    "model": _FULL_MODEL,
    "parts": {"vision_encoder": {"train": False}},
    "optimizer": {
        "lr": 1e-5,
        "betas": [0.9, 0.999],
        "weight_decay": 0.0,
        "clip_norm": 1.0,
        "warmup": 0.03,
    },
    "data": {"max_length": 16384, "num_workers": 8},
    "batch": _LARGE_BATCH,
}

LEOPARD_LLAVA_ALIGN: dict[str, Any] = {
    **LEOPARD_LLAVA,
    "out": "runs/leopard-llava-stage1",
    "parts": {"vision_encoder": {"train": False}, "language_model": {"train": False}},
    "optimizer": {**LEOPARD_LLAVA["optimizer"], "lr": 1e-3},
    "batch": {**_LARGE_BATCH, "samples": 256},
}

LEOPARD_IDEFICS2: dict[str, Any] = {
    **LEOPARD_LLAVA,
    "out": "runs/leopard-idefics2",
    "model": {**_FULL_MODEL, "start": "wyu1/Leopard-Idefics2"},
    "optimizer": {**LEOPARD_LLAVA["optimizer"], "lr": 5e-6, "clip_norm": 0.5},
    "data": {"max_length": 8192, "num_workers": 8},
    "batch": {**_LARGE_BATCH, "crops_per_pass": 12},
}

TINY: dict[str, Any] = {
    "out": "runs/tiny",
    "steps": 20,
    "model": {"start": "leopard-nano", "max_crops": 24},
    "optimizer": {"lr": 2e-4, "warmup": 2},
    "data": {"max_length": 4096},
    "batch": {"samples": 4, "tokens_per_pass": 4096, "crops_per_pass": 24},
    "checkpoints": {"every_steps": 10},
}

LORA: dict[str, Any] = {
    **TINY,
    "out": "runs/lora",
    "steps": 100,
    "model": {"start": "leopard-nano", "lora": {"rank": 16, "alpha": 32.0}},
    # It is right from the start: the least step in it moves all visual tokens together.
    "parts": {"vision_encoder": {"train": False}, "connector": {"train": False}},
    "optimizer": {"lr": 5e-4, "warmup": 0.05},
    "data": {"max_length": 8192, "overlong": "drop_turns"},
    "batch": {"samples": 4, "tokens_per_pass": 8192, "crops_per_pass": 50},
    "checkpoints": {"every_steps": 50},
}

PRESETS: dict[str, dict[str, Any]] = {
    "leopard-llava": LEOPARD_LLAVA,
    "leopard-llava-stage1": LEOPARD_LLAVA_ALIGN,
    "leopard-idefics2": LEOPARD_IDEFICS2,
    "tiny": TINY,
    "lora": LORA,
}
