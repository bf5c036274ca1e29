"""Decoding at 135M parameters: transformers eager, Leopard by torch and by ONNX Runtime, llama.cpp.

The same random weights on all sides but llama.cpp's, which are of the same sizes. CPU milliseconds
per token, one thread, median of 32 tokens after 64; forms take turns, so that others disturb
all alike. The limit of single precision is how fast this machine reads memory: every token needs
all weights. llama.cpp runs after them where a Python with llama_cpp and gguf is given. Reading a
prompt is timed, too. Then what each form costs in quality, on the shipped model with real weights:
how far its scores are from float32 (KL divergence in nats) and how often the likeliest token is the
same, over the tokens of answers about the examples.
Run: python benchmarks/bench_decoding.py [--llama-python PYTHON] [--prompt N] [--reading N]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from models import cpu_seconds, text_config_135m
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, DynamicCache, LlamaConfig

from leopard.inference.decoders import TorchDecoder
from leopard.inference.huge_pages import use_huge_pages
from leopard.inference.kernels import use_fast_kernels
from leopard.inference.leopard import Leopard
from leopard.inference.loading import LoadSettings
from leopard.inference.onnx.loading import take_language_model
from leopard.inference.quantized import quantize
from leopard.model import LeopardConfig
from leopard.model.dummy import build_dummy

EXAMPLE = Path(__file__).parents[1] / "examples" / "broadcast-invoice.pdf"
QUESTIONS = ("What is the Billing phone?", "What is the total?", "Who is the advertiser?")
EAGER = "transformers eager float32"
FORMS: dict[str, LoadSettings] = {
    "leopard torch float32": LoadSettings(dtype="float32"),
    "leopard torch int8": LoadSettings(dtype="float32", engine="torch", weights="int8"),
    "leopard onnx float32": LoadSettings(engine="onnx"),
    "leopard onnx int8": LoadSettings(engine="onnx", weights="int8"),
    "leopard onnx int4": LoadSettings(engine="onnx", weights="int4"),
}
LLAMA = Path(__file__).with_name("llama_decoding.py")


class EagerDecoder:
    """What transformers does without Leopard; see `leopard.inference.decoders.Decoder`."""

    def __init__(self, language: nn.Module, head: nn.Module) -> None:
        config = LlamaConfig(**{k: v for k, v in text_config_135m().items() if k != "model_type"})
        self.model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
        self.model.model.load_state_dict(language.state_dict())
        self.model.lm_head.load_state_dict(head.state_dict())

    def new_cache(self) -> DynamicCache:
        """The cache of transformers."""
        return DynamicCache()

    def read(self, embeds: Tensor, positions: Tensor, cache: DynamicCache) -> Tensor:
        """One pass."""
        return self.model(
            inputs_embeds=embeds,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits


def build(form: str) -> Any:
    """A decoder of the same random weights in one of the forms, and its embedding table."""
    vision = {"model_type": "siglip_vision_model", "hidden_size": 64, "intermediate_size": 64}
    sizes = {"num_hidden_layers": 1, "num_attention_heads": 4, "image_size": 364, "patch_size": 14}
    model = build_dummy(
        LeopardConfig(
            image_token_id=9, vision_config={**vision, **sizes}, text_config=text_config_135m()
        )
    )
    table = model.get_input_embeddings()
    if form == EAGER:
        return EagerDecoder(model.model.language_model, model.lm_head), table
    settings = FORMS[form]
    if settings.uses_onnx:
        return take_language_model(model, settings.weights), table
    if settings.weights:
        quantize(model)
    use_fast_kernels(model)
    return TorchDecoder(model), table


class Run:
    """One form and where it is in its text."""

    def __init__(self, form: str, prompt: int) -> None:
        self.decoder, self.table = build(form)
        self.cache, self.position, self.spent = self.decoder.new_cache(), 0, []
        self.read(torch.arange(100, 100 + prompt))

    @torch.inference_mode()
    def read(self, ids: Tensor) -> None:
        """Some more positions."""
        positions = torch.arange(self.position, self.position + len(ids))[None]
        self.decoder.read(self.table(ids)[None], positions, self.cache).argmax()
        self.position += len(ids)

    def step(self) -> None:
        """One more token, timed."""
        begin = time.process_time()
        self.read(torch.tensor([1000 + self.position]))
        self.spent.append(1000 * (time.process_time() - begin))

    def reading(self, length: int) -> float:
        """CPU seconds for a prompt of its own."""
        self.cache, self.position = self.decoder.new_cache(), 0
        return cpu_seconds(lambda: self.read(torch.arange(100, 100 + length)))


def read_rate() -> float:
    """Gigabytes that one core reads in a second, from huge pages where there are any."""
    memory = torch.ones(1 << 27)
    use_huge_pages()
    return 4 * len(memory) / cpu_seconds(memory.sum, 3) / 1e9


def weight_bytes() -> int:
    """Bytes that a token reads in single precision: all products with weights, the head's too."""
    config = text_config_135m()
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    narrow = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    layer = 2 * hidden * (hidden + narrow) + 3 * hidden * inner
    return int(4 * (config["num_hidden_layers"] * layer + config["vocab_size"] * hidden))


def speed(llama_python: str | None, prompt: int, reading: int) -> None:
    """Milliseconds per token of each form."""
    rate = read_rate()
    least = 1000 * weight_bytes() / rate / 1e9
    print(json.dumps({"read_gb_per_s": round(rate, 1), "weights_read_in_ms": round(least, 1)}))
    runs = {form: Run(form, prompt) for form in (EAGER, *FORMS)}
    for _ in range(32):
        for run in runs.values():
            run.step()
    found = {form: statistics.median(run.spent) for form, run in runs.items()}
    rates = {form: reading / run.reading(reading) for form, run in runs.items()} if reading else {}
    if llama_python:
        found |= llama(llama_python, prompt)
    for form, spent in found.items():
        record = {"form": form, "ms_per_token": round(spent, 2), "after": prompt}
        record["over_eager"] = round(found[EAGER] / spent, 2)
        if form.endswith("32"):
            record["share_of_limit"] = round(least / spent, 2)
        if form in rates:
            record[f"read_{reading}_per_s"] = round(rates[form])
        print(json.dumps(record), flush=True)


def llama(python: str, prompt: int) -> dict[str, float]:
    """Milliseconds per token of llama.cpp's forms."""
    with tempfile.TemporaryDirectory() as folder:
        command = [python, str(LLAMA), folder, str(prompt), json.dumps(text_config_135m())]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return {f"llama.cpp {line['form']}": line["ms"] for line in lines}


@torch.inference_mode()
def scores(leopard: Leopard, pages: Any, tokens: dict[str, list[int]]) -> Tensor:
    """Log-probabilities of every next token of given answers, (tokens, vocabulary)."""
    found = []
    generator = leopard.generator
    session = leopard.open_pages(pages)
    for question, answer in tokens.items():
        row = generator.start(session.request(question))
        state = generator.reader.read([row])
        found.append(state.logits)
        for token in answer[:-1]:
            row.tokens.append(token)
            generator.reader.step([row], state)
            found.append(state.logits)
    return torch.cat(found).float().log_softmax(-1)


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
    for form, settings in FORMS.items():
        leopard = Leopard.from_pretrained(
            dtype="float32", weights=settings.weights, engine=settings.engine
        )
        found = scores(leopard, pages, tokens)
        divergence = (expected.exp() * (expected - found)).sum(-1).mean()
        same = (expected.argmax(-1) == found.argmax(-1)).float().mean()
        record = {"form": form, "kl_nats": float(f"{float(divergence):.2e}")}
        print(json.dumps({**record, "same_token": round(float(same), 4), "of": len(found)}))


def main() -> None:
    """Speed, then quality."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llama-python", help="Python with llama_cpp and gguf.")
    parser.add_argument("--prompt", type=int, default=64, help="Positions before the first token.")
    parser.add_argument("--reading", type=int, default=2048, help="Prompt to be read; 0 for none.")
    parser.add_argument("--no-quality", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    speed(given.llama_python, given.prompt, given.reading)
    if not given.no_quality:
        quality()


if __name__ == "__main__":
    main()
