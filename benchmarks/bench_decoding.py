"""Decoding at 135M parameters: transformers eager, Leopard, its 8-bit and 4-bit forms, llama.cpp.

Random weights, CPU milliseconds per token, one thread, median of 32 tokens after 64; forms take
turns, so that other programs disturb all alike. llama.cpp runs where its Python and GGUF files of
the same size are given. Then what each form costs in quality, on the shipped model with real
weights: how far its scores are from float32 (KL divergence in nats) and how often the likeliest
token is the same, over the tokens of answers about the examples.
Run: python benchmarks/bench_decoding.py [--llama-python PYTHON --gguf FILE...]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import torch
from models import text_config_135m
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, DynamicCache, LlamaConfig

from leopard.inference.growing_cache import new_cache
from leopard.inference.kernels import use_fast_kernels
from leopard.inference.leopard import Leopard
from leopard.inference.quantized import quantize

EXAMPLE = Path(__file__).parents[1] / "examples" / "broadcast-invoice.pdf"
QUESTIONS = ("What is the Order #?", "What is the total?", "Who is the advertiser?")
LLAMA = """
import sys, time, statistics
from llama_cpp import Llama
model = Llama(sys.argv[1], n_ctx=512, n_threads=1, n_threads_batch=1, verbose=False)
model.eval(list(range(100, 164)))
spent = []
for token in range(32):
    begin = time.process_time()
    model.eval([1000 + token])
    spent.append(time.process_time() - begin)
print(1000 * statistics.median(spent))
"""


def build(form: str) -> Any:
    """The same random weights in one of the forms."""
    torch.manual_seed(0)
    config = LlamaConfig(**{k: v for k, v in text_config_135m().items() if k != "model_type"})
    attention = "eager" if form == "transformers eager" else "sdpa"
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()
    if form == "transformers eager":
        return model
    if form.endswith(("int8", "int4")):
        parts = nn.ModuleDict({"language_model": model.model, "lm_head": model.lm_head})
        quantize(parts, form.split()[-1])
        model.lm_head = parts["lm_head"]
    use_fast_kernels(model)
    return model


class Decoder:
    """One form and where it is in its text."""

    @torch.inference_mode()
    def __init__(self, form: str, prompt: int) -> None:
        self.model = build(form)
        plain = form == "transformers eager"
        self.cache = DynamicCache() if plain else new_cache(self.model.config)
        ids = torch.arange(100, 100 + prompt)[None]
        self.model(input_ids=ids, past_key_values=self.cache, use_cache=True, logits_to_keep=1)
        self.position, self.spent = prompt, []

    @torch.inference_mode()
    def step(self) -> None:
        """One more token."""
        begin = time.process_time()
        self.model(
            input_ids=torch.tensor([[1000 + self.position]]),
            position_ids=torch.tensor([[self.position]]),
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits.argmax()
        self.spent.append(1000 * (time.process_time() - begin))
        self.position += 1


def speed(llama_python: str | None, ggufs: list[str], prompt: int) -> None:
    """Milliseconds per token of each form."""
    forms = ("transformers eager", "leopard float32", "leopard int8", "leopard int4")
    decoders = {form: Decoder(form, prompt) for form in forms}
    for _ in range(32):
        for decoder in decoders.values():
            decoder.step()
    found = {form: statistics.median(one.spent) for form, one in decoders.items()}
    for gguf in ggufs if llama_python else []:
        command = [str(llama_python), "-c", LLAMA, gguf]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found[f"llama.cpp {Path(gguf).stem}"] = float(printed.split()[-1])
    for form, spent in found.items():
        ratio = found["transformers eager"] / spent
        record = {"form": form, "ms_per_token": round(spent, 2), "over_eager": round(ratio, 2)}
        print(json.dumps({**record, "after": prompt}), flush=True)


@torch.inference_mode()
def scores(leopard: Leopard, pages: Any, tokens: dict[str, list[int]]) -> Tensor:
    """Log-probabilities of every next token of given answers, (tokens, vocabulary)."""
    found = []
    generator = leopard.generator
    session = leopard.open_pages(pages)
    for question, answer in tokens.items():
        row = generator.start(session.request(question))
        given = [*row.prepared.input_ids, *answer[:-1]]
        logits = generator.model(
            input_ids=torch.tensor([given]),
            image_features=row.visuals.tokens,
            logits_to_keep=len(answer),
        ).logits[0]
        found.append(logits.float().log_softmax(-1))
    return torch.cat(found)


def quality() -> None:
    """What each form changes on the shipped model."""
    full = Leopard.from_pretrained(dtype="float32")
    pages = full.load([EXAMPLE]).pages
    session, tokens = full.open_pages(pages), {}
    for question in QUESTIONS:
        row = full.generator.start(session.request(question))
        full.generator.finish([row])
        tokens[question] = row.tokens
    expected = scores(full, pages, tokens)
    for form in ("int8", "int4"):
        leopard = Leopard.from_pretrained(dtype="float32", weights=form)
        found = scores(leopard, pages, tokens)
        divergence = (expected.exp() * (expected - found)).sum(-1).mean()
        same = (expected.argmax(-1) == found.argmax(-1)).float().mean()
        record = {"form": form, "kl_nats": float(f"{float(divergence):.2e}")}
        print(json.dumps({**record, "same_token": round(float(same), 4), "of": len(found)}))


def main() -> None:
    """Speed, then quality."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llama-python", help="Python with llama_cpp.")
    parser.add_argument("--gguf", nargs="*", default=[], help="SmolLM2-135M in llama.cpp's forms.")
    parser.add_argument("--prompt", type=int, default=64, help="Positions before the first token.")
    parser.add_argument("--no-quality", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    speed(given.llama_python, given.gguf, given.prompt)
    if not given.no_quality:
        quality()


if __name__ == "__main__":
    main()
