"""The small model as a folder: sizes, tokenizer, processor settings, weights.

The tokenizer is one id per byte, so that copying is spelling and every text can be written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, PreTrainedTokenizerFast, SmolLM3Config

from leopard.model import LeopardConfig, LeopardForConditionalGeneration
from leopard.model.reader_config import LeopardReaderConfig
from leopard.model.surroundings import Surroundings
from leopard.processor import LeopardProcessor
from leopard.processor.settings import ProcessorSettings
from leopard.training.nano.characters import (
    BLANK,
    LAST_PER_LINE,
    LINES_PER_CELL,
    NUM_CLASSES,
    PLACES_PER_LINE,
)
from leopard.training.nano.codes import class_codes, class_of
from leopard.training.nano.meaning import TRIPLE_UNITS, Meaning
from leopard.training.nano.reader_stage import GEOMETRY, MAX_TILES, POLICY, READING_DPI
from leopard.training.nano.start import (
    AROUND_LENGTH,
    initialise_connector,
    initialise_language_model,
)
from leopard.training.nano.start_heads import NUM_HEADS
from leopard.training.nano.start_pages import PAGE_LAYER
from leopard.training.nano.zones import (
    AROUND,
    CODE,
    DIM,
    HEAD,
    IMAGE,
    ROPE_THETA,
    START,
    TEXT,
    wave_angles,
)

SPECIAL = (
    "<pad>",
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|reserved_special_token_20|>",
    "<|reserved_special_token_21|>",
    "<|reserved_special_token_195|>",
)
WORDS = ("user", "assistant", "\n\n")
"""Plain texts of one id: they stand in every turn."""
VOCABULARY = 272
"""Rows of the embedding table: bytes, special tokens, words, rounded up to 16."""
CONTEXT = 16_384
UNITS = 416
"""Gated units of a layer of the language model."""
TRIPLE_ROWS = 24_576
"""Rows of the table of letter triples."""
AROUND_UNITS = 256
"""Units that mix what stands around a line."""


def nano_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level tokenizer: ids 0 to 255 are bytes."""
    alphabet = _byte_alphabet()
    vocabulary = {alphabet[byte]: byte for byte in range(256)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in SPECIAL])
    tokenizer.add_tokens([AddedToken(t, normalized=False, special=False) for t in WORDS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        pad_token="<pad>",
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_max_length=CONTEXT,
    )


def _byte_alphabet() -> dict[int, str]:
    """The printable stand-in of each byte in byte-level tokenizers (as in GPT-2)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    shifted = {byte: chr(256 + number) for number, byte in enumerate(rest)}
    return {byte: chr(byte) for byte in printable} | shifted


def nano_config() -> LeopardConfig:
    """Sizes of the small model: about 7 M in the encoder, 16 M in the rest."""
    tokenizer = nano_tokenizer()
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL}
    text = SmolLM3Config(
        vocab_size=VOCABULARY,
        hidden_size=DIM,
        head_dim=HEAD,
        intermediate_size=UNITS,
        num_hidden_layers=5,
        num_attention_heads=NUM_HEADS,
        num_key_value_heads=NUM_HEADS,
        no_rope_layers=[1, 1, 0, 0, 0],
        rope_theta=ROPE_THETA,
        tie_word_embeddings=False,
        max_position_embeddings=CONTEXT,
        pad_token_id=ids["<pad>"],
        bos_token_id=ids["<|begin_of_text|>"],
        eos_token_id=ids["<|eot_id|>"],
    )
    return LeopardConfig(
        vision_config=LeopardReaderConfig(
            cell_size=320,
            lines_per_cell=LINES_PER_CELL,
            places_per_line=PLACES_PER_LINE,
            last_per_line=LAST_PER_LINE,
            num_classes=NUM_CLASSES,
            code_size=CODE,
            column_size=128,
            chain_size=160,
            around_size=AROUND,
            triple_rows=TRIPLE_ROWS,
            triple_units=TRIPLE_UNITS,
            around_units=AROUND_UNITS,
            blank_class=BLANK,
            colon_class=class_of(":"),
            stop_class=class_of("."),
            comma_classes=[class_of(char) for char in ",;"],
            dash_classes=[class_of(char) for char in "-/|*•"],
            ordinal_waves=wave_angles(),
            num_hidden_layers=3,
        ),
        text_config=text,
        shuffle_factor=GEOMETRY.shuffle_factor,
        image_token_id=ids["<|reserved_special_token_195|>"],
        unrounded_layers=[*range(text.num_hidden_layers)],  # they compare and count finely
        tie_word_embeddings=False,
    )


def nano_processor() -> LeopardProcessor:
    """The processor of the small model."""
    settings = ProcessorSettings(
        crop_size=GEOMETRY.crop_size,
        patch_size=GEOMETRY.patch_size,
        shuffle_factor=GEOMETRY.shuffle_factor,
        policy=POLICY,
        max_tiles_per_image=MAX_TILES,
        reading_dpi=READING_DPI,
        context_length=CONTEXT,
        embedding_rows=VOCABULARY,
    )
    config = nano_config()
    return LeopardProcessor(nano_tokenizer(), settings, config_image_id=config.image_token_id)


def new_model(seed: int) -> LeopardForConditionalGeneration:
    """The untrained model with its starting weights."""
    torch.manual_seed(seed)
    model = LeopardForConditionalGeneration(nano_config())
    inner: Any = model.model
    spelling = inner.vision_encoder.spelling
    initialise_connector(inner.connector)
    with torch.no_grad():
        spelling.codes.copy_(class_codes())
    take_meaning(model, Meaning(spelling.around))
    return model


def new_surroundings() -> Surroundings:
    """The part of the encoder that meaning is learned with, before anything is."""
    config: Any = nano_config().vision_config
    return Surroundings(config)


@torch.no_grad()
def take_meaning(model: LeopardForConditionalGeneration, meaning: Meaning) -> None:
    """Write the language model anew around what was learned of meaning.

    What stands around lines is made AROUND_LENGTH times shorter, so that it does not drown the rest
    of a visual token; the look makes up for it.
    """
    inner: Any = model.model
    head: Any = model.lm_head
    around = inner.vision_encoder.spelling.around
    around.load_state_dict(meaning.around.state_dict())
    for part in (around.mix, around.heading, around.marks, around.fold.weight):
        part /= AROUND_LENGTH
    initialise_language_model(inner.language_model, head, meaning)


QUIET = 16.0
"""By so much the marks of tokens are made fainter where layers read them."""


@torch.no_grad()
def quiet_marks(model: LeopardForConditionalGeneration) -> None:
    """Make the largest numbers that layers read small, and their weights larger; the same is said.

    Marks of tokens are far larger than all else. Where inputs are rounded to 8 bits, they would
    leave few steps to the rest (outliers: Dettmers et al. 2022, arXiv 2208.07339; moved from inputs
    into weights as by Xiao et al. 2022, arXiv 2211.10438).

    Args:
        model: Changed in place. What has been made quiet stays as it is.
    """
    inner: Any = model.model
    decoder = inner.language_model
    readers: list[tuple[Any, list[Any]]] = [(decoder.norm, [model.lm_head])]
    for layer in decoder.layers:
        attention, mlp = layer.self_attn, layer.mlp
        readers.append(
            (layer.input_layernorm, [attention.q_proj, attention.k_proj, attention.v_proj])
        )
        readers.append((layer.post_attention_layernorm, [mlp.gate_proj, mlp.up_proj]))
    marks = [TEXT, IMAGE, START]
    for norm, linears in readers:
        if float(norm.weight[TEXT]) < 2 / QUIET:
            continue
        norm.weight[marks] /= QUIET
        for linear in linears:
            linear.weight[:, marks] *= QUIET


def write_model(model: LeopardForConditionalGeneration, folder: Path) -> None:
    """Write a complete model folder, weights in half precision and less (read as float32).

    Args:
        model: Its marks are made quiet and its weights halves.
        folder: Where to.
    """
    tokenizer = nano_tokenizer()
    generation: Any = GenerationConfig(
        do_sample=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=[
            tokenizer.eos_token_id,
            tokenizer.convert_tokens_to_ids("<|end_of_text|>"),
        ],
        pad_token_id=tokenizer.pad_token_id,
    )
    model.generation_config = generation
    quiet_marks(model)
    model.half().save_pretrained(folder)
    _store_in_eight_bits(folder / "model.safetensors")
    nano_processor().save_pretrained(folder)


EIGHT_BITS = (
    "model.vision_encoder.fold.weight",
    "model.vision_encoder.spelling.around.table.weight",
    "model.vision_encoder.spelling.transcriber.cells.weight",
    *(f"model.language_model.layers.{PAGE_LAYER}.self_attn.{part}_proj." for part in "qvo"),
    f"model.language_model.layers.{PAGE_LAYER}.mlp.",
)
"""What is stored as 8-bit floats (E4M3: Micikevicius et al. 2022, arXiv 2209.05433): what sums many
inputs, and a layer of which one head does all; but for its keys, whose marks must cancel."""


def _store_in_eight_bits(path: Path) -> None:
    """Write a file of weights anew, some of them in 8 bits."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    for name, tensor in tensors.items():
        if name.startswith(EIGHT_BITS):
            largest = torch.finfo(torch.float8_e4m3fn).max
            tensors[name] = tensor.clamp(-largest, largest).to(torch.float8_e4m3fn)
    temporary = path.with_suffix(".tmp")
    save_file(tensors, temporary, metadata=metadata)
    temporary.replace(path)
