"""Decoding by llama.cpp at the sizes of SmolLM2-135M; run by a Python that has llama_cpp and gguf.

Writes random weights in llama.cpp's own forms, then prints one JSON object per form: CPU
milliseconds per token, one thread, median of 32 tokens after a prompt.
Run by bench_decoding.py: PYTHON benchmarks/llama_decoding.py FOLDER PROMPT CONFIG
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import gguf
import llama_cpp
import numpy as np

FORMS = {
    "f32": None,
    "q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0,
    "q4_1": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_1,
    "q4_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0,
}


def write_random(path: Path, config: dict) -> None:
    """A model of these sizes, in single precision, without a vocabulary."""
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")
    random = np.random.default_rng(0)

    def add(name: str, *shape: int) -> None:
        values = random.normal(0, 0.02, shape) if len(shape) > 1 else np.ones(shape)
        writer.add_tensor(f"{name}.weight", values.astype(np.float32))

    hidden, inner = config["hidden_size"], config["intermediate_size"]
    narrow = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    add("token_embd", config["vocab_size"], hidden)
    for index in range(config["num_hidden_layers"]):
        layer = f"blk.{index}"
        add(f"{layer}.attn_norm", hidden)
        add(f"{layer}.attn_q", hidden, hidden)
        add(f"{layer}.attn_k", narrow, hidden)
        add(f"{layer}.attn_v", narrow, hidden)
        add(f"{layer}.attn_output", hidden, hidden)
        add(f"{layer}.ffn_norm", hidden)
        add(f"{layer}.ffn_gate", inner, hidden)
        add(f"{layer}.ffn_up", inner, hidden)
        add(f"{layer}.ffn_down", hidden, inner)
    add("output_norm", hidden)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantize(source: Path, target: Path, kind: int) -> None:
    """Round a model with llama.cpp's own program."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = kind, 1
    failed = llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), params)
    if failed:
        raise SystemExit(f"llama.cpp could not write {target}")


def milliseconds(path: Path, prompt: int) -> float:
    """Per token."""
    model = llama_cpp.Llama(
        str(path), n_ctx=max(512, prompt + 64), n_threads=1, n_threads_batch=1, verbose=False
    )
    model.eval(list(range(100, 100 + prompt)))
    spent = []
    for token in range(32):
        begin = time.process_time()
        model.eval([1000 + token])
        spent.append(time.process_time() - begin)
    return 1000 * statistics.median(spent)


def main() -> None:
    """Write and time each form."""
    folder, prompt, config = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    full = folder / "f32.gguf"
    write_random(full, config)
    for form, kind in FORMS.items():
        path = folder / f"{form}.gguf"
        if kind is not None:
            quantize(full, path, kind)
        print(json.dumps({"form": form, "ms": milliseconds(path, prompt)}), flush=True)


if __name__ == "__main__":
    main()
