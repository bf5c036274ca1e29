"""Tiny models of both kinds whose heads are as large as vLLM wants them, and decks to ask about."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from leopard.inference.loading import load_generator
from leopard.schema.generation import GenerationRequest, SamplingOptions
from leopard.schema.messages import ImagePart, Message
from tests.conftest import TOKENIZER, draw_page

PAGE = draw_page(1, (600, 400))
TALL = draw_page(2, (300, 900))
SMALL = draw_page(3)
WIDE = draw_page(4, (975, 700))
DECKS = {
    "no image": (),
    "alone": (PAGE,),
    "with a neighbour": (PAGE, TALL),
    "other order": (TALL, PAGE, SMALL),
    "thumbnails only": (PAGE, TALL, SMALL, WIDE, *[SMALL] * 7),
    "alone again": (PAGE,),
    "same image twice": (WIDE, WIDE),
}
"""In this order one picture is many things: what is cached of it must not be mixed up."""


def tiled_folder(folder: Path) -> Path:
    """LLaVA-style: crops of 56 px, 12 for a prompt."""
    from leopard.model.dummy import build_dummy, preset_config
    from leopard.processor import LeopardProcessor

    config = preset_config("tiny")
    config.text_config.hidden_size, config.text_config.head_dim = 128, 32
    model = build_dummy(config, seed=5)
    model.generation_config.eos_token_id = [257, 265]
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(TOKENIZER / name, folder / name)
    LeopardProcessor.from_pretrained(folder, max_crops=12).save_pretrained(folder)
    return folder


def whole_folder(folder: Path) -> Path:
    """Leopard-Idefics2."""
    from leopard.model.dummy import build_dummy
    from leopard.model.idefics2 import LeopardIdefics2Config
    from tests.parity.cases import VECTORS

    source = VECTORS / "leopard_idefics2_tiny"
    config = LeopardIdefics2Config.from_pretrained(source)
    config.text_config.hidden_size, config.text_config.head_dim = 128, 32
    config.perceiver_config.hidden_size = 128
    build_dummy(config, seed=6).save_pretrained(folder)
    for path in source.iterdir():
        if path.name not in ("config.json", "model.safetensors"):
            shutil.copyfile(path, folder / path.name)
    return folder


FOLDERS = {"tiled": tiled_folder, "whole": whole_folder}


def built(kind: str, folder: Path) -> Path:
    """A model of a kind; made by a process where vLLM has not changed transformers."""
    _run("models.FOLDERS[sys.argv[1]](models.Path(sys.argv[2]))", kind, folder)
    return folder


def request(images=(), question="What is shown?", **sampling) -> GenerationRequest:
    message = Message.of("user", *[ImagePart()] * len(images), question)
    options = SamplingOptions(**{"max_new_tokens": 12, **sampling})
    return GenerationRequest(messages=(message,), images=tuple(images), sampling=options)


REQUESTS = {
    **{name: request(images) for name, images in DECKS.items()},
    "typed": request((PAGE,), "a <|begin_of_text|></s><image><end_of_utterance> b"),
}


def local_tokens(folder: Path) -> dict[str, list[int]]:
    """What the local runtime writes, in such a process, too."""
    return json.loads(_run("models.print_tokens(sys.argv[1])", folder).splitlines()[-1])


def _run(code: str, *arguments: object) -> str:
    """What another process prints that runs this code."""
    imports = "import sys, tests.inference.vllm.models as models"
    return subprocess.run(
        [sys.executable, "-c", f"{imports}; {code}", *map(str, arguments)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def print_tokens(folder: str) -> None:
    """Print what `local_tokens` reads."""
    generator = load_generator(folder)
    rows = {name: generator.start(one) for name, one in REQUESTS.items()}
    generator.finish(list(rows.values()))
    sys.stdout.write(json.dumps({name: row.tokens for name, row in rows.items()}) + "\n")
