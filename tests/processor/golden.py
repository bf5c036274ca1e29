"""Recorded behaviour of the published code, and the images and tokenizers to compare with it."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from leopard.schema.geometry import ImageSize

GOLDEN = Path(__file__).parents[1] / "golden"


@cache
def read(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def sizes_of(pairs: list[list[int]]) -> list[ImageSize]:
    return [ImageSize(width, height) for width, height in pairs]


def sha256(array: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


@cache
def synthetic(width: int, height: int) -> PIL.Image.Image:
    """The image of `meta.synth` in preprocess.json."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    red = (7 * x + 3 * y + 5 * ((x * y) % 11)) % 256
    green = (2 * x + 5 * y + 97 * ((x // 16 + y // 16) % 2)) % 256
    blue = ((x * x + 3 * y) // 8 + 4 * ((x ^ y) & 31)) % 256
    return PIL.Image.fromarray(np.stack([red, green, blue], -1).astype(np.uint8))


NAMED = {
    "<|begin_of_text|>": 128000,
    "<|end_of_text|>": 128001,
    "<|start_header_id|>": 128006,
    "<|end_header_id|>": 128007,
    "<|eot_id|>": 128009,
}
LLAMA3 = {**NAMED, **{f"<|reserved_special_token_{n}|>": 128005 + n for n in range(5, 251)}}
LLAMA31 = {**NAMED, **{f"<|reserved_special_token_{n}|>": 128008 + n for n in range(3, 248)}}


@cache
def character_tokenizer(family: str = "llama31") -> PreTrainedTokenizerFast:
    """One token per character, its id the code point; special ids as in the LLaMA family."""
    special = {"llama3": LLAMA3, "llama31": LLAMA31}[family]
    characters = {chr(code): code for code in (9, 10, 13, *range(32, 127), 0x2060)}
    tokenizer = Tokenizer(models.WordLevel({**characters, **special}, unk_token=" "))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.add_special_tokens(list(special))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|begin_of_text|>", eos_token="<|eot_id|>"
    )
