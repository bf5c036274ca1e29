"""Vision encoding at SigLIP SO400M width: share of the matrix product's rate, and 8-bit weights.

Some layers of the published encoder with random weights, 676 patches per crop. The limit is this
machine's float32 matrix product, by whichever library inside torch is fastest. CPU seconds, one
thread. Run: python benchmarks/bench_vision.py [--layers N] [--crops N]
"""

from __future__ import annotations

import argparse
import json

import torch
from models import cpu_seconds
from torch import Tensor, nn
from transformers import SiglipVisionConfig, SiglipVisionModel

from leopard.inference.kernels import is_onednn_faster, use_fast_kernels
from leopard.inference.quantized import quantize

PATCHES = 676


def matmul_rates(side: int = 4096) -> dict[str, float]:
    """GFLOP per CPU second of one large product, by library."""
    a, b = torch.randn(side, side), torch.randn(side, side)
    work = 2 * side**3 / 1e9
    rates = {"mkl": work / cpu_seconds(lambda: a @ b, 3)}
    if is_onednn_faster():
        product = torch.ops.mkldnn._linear_pointwise
        rates["onednn"] = work / cpu_seconds(lambda: product(a, b, None, "none", [], ""), 3)
    return rates


def build(layers: int) -> SiglipVisionModel:
    """The encoder of the published model, with fewer layers."""
    torch.manual_seed(0)
    config = SiglipVisionConfig(
        hidden_size=1152,
        intermediate_size=4304,
        num_hidden_layers=layers,
        num_attention_heads=16,
        image_size=364,
        patch_size=14,
        vision_use_head=False,
    )
    return SiglipVisionModel(config).eval()


def gflop(layers: int, crops: int) -> float:
    """Work of all matrix products: linear layers, attention, patch embedding."""
    linear = 2 * PATCHES * (4 * 1152**2 + 2 * 1152 * 4304)
    attention = 4 * PATCHES**2 * 1152
    embedding = 2 * PATCHES * 3 * 14**2 * 1152
    return crops * (layers * (linear + attention) + embedding) / 1e9


def main() -> None:
    """Measure torch, its faster library, and 8 bits, on the same weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--crops", type=int, default=4)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rates = matmul_rates()
    limit = max(rates.values())
    print(json.dumps({"matmul_gflops": {key: round(rate, 1) for key, rate in rates.items()}}))
    model = build(given.layers)
    pixels = torch.rand(given.crops, 3, 364, 364) * 2 - 1
    work = gflop(given.layers, given.crops)

    @torch.inference_mode()
    def encode(pixels: Tensor = pixels) -> Tensor:
        hidden: Tensor = model(pixel_values=pixels).last_hidden_state
        return hidden

    expected = encode()
    base = 0.0

    def measure(name: str) -> None:
        nonlocal base
        rate = work / cpu_seconds(encode, 3)
        base = base or rate
        error = float((encode() - expected).norm() / expected.norm())
        record = {
            "form": name,
            "gflops": round(rate, 1),
            "share_of_mkl": round(rate / rates["mkl"], 3),
            "share_of_limit": round(rate / limit, 3),
            "over_torch": round(rate / base, 2),
            "relative_error": float(f"{error:.1e}"),
        }
        print(json.dumps(record), flush=True)

    measure("torch float32")
    if use_fast_kernels(model):
        measure("leopard float32")
    quantize(nn.Sequential(model))
    measure("leopard int8")


if __name__ == "__main__":
    main()
