"""Where leopard-nano loses answers: misread, not found, or another page's value taken.

Documents of the held-out settings of configs/eval.toml, with a seed of your choice, asked three
ways: with every character read right in place of the encoder (true slots), through the encoder,
and, true slots again, about the page of the answer alone. ANLS in percent by family of questions.
Run: python benchmarks/nano_losses.py [--split train|test] [--seed N] [--documents N] [--model DIR]
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor
from transformers import DynamicCache

from leopard.cli.curate_parts import settings_of
from leopard.curation.synthesis.samples import SampleMaker
from leopard.evaluation.metrics.anls import calculate_anls
from leopard.inference.leopard import page_options
from leopard.inference.loading import DEFAULT_MODEL, SHIPPED_MODELS
from leopard.model import LeopardForConditionalGeneration
from leopard.processor.crops import CropPlan, plan_crops, stack_crops
from leopard.processor.prompt import instruction_for
from leopard.schema.geometry import ImageSize
from leopard.schema.messages import ImagePart, Message, TextPart
from leopard.schema.samples import QuestionAnswer
from leopard.training.nano.characters import image_slots
from leopard.training.nano.lessons import Lesson, draw_lessons
from leopard.training.nano.package import nano_processor
from leopard.training.nano.reader_stage import GEOMETRY, MAX_TILES, POLICY
from leopard.training.nano.start import END_TOKEN

SUITE = Path(__file__).parents[1] / "configs" / "eval.toml"
FAMILIES = ("lookup", "cell", "unanswerable")
LONGEST = 48


def plan_of(pages: list[Lesson]) -> CropPlan:
    """Crops as the processor of the model cuts them."""
    sizes = [ImageSize(page.image.width, page.image.height) for page in pages]
    return plan_crops(sizes, geometry=GEOMETRY, policy=POLICY, max_tiles_per_image=MAX_TILES)


class Asker:
    """Answers greedily about visual tokens of either origin."""

    def __init__(self, folder: Path) -> None:
        self.model: Any = LeopardForConditionalGeneration.from_pretrained(
            folder, dtype=torch.float32
        ).eval()
        self.inner, self.processor = self.model.model, nano_processor()

    @torch.inference_mode()
    def open(self, pages: list[Lesson], *, is_read: bool) -> None:
        """Read a document: through the encoder, or its true slots."""
        plan = plan_of(pages)
        self.crops = [image.num_crops for image in plan.images]
        if is_read:
            pixels = torch.from_numpy(stack_crops([page.image for page in pages], plan))
            encoder = self.inner.vision_encoder
            features = encoder(pixels, grids=plan.grids, chunk=4).last_hidden_state
        else:
            slots = [image_slots(p.glyphs, i)[0] for p, i in zip(pages, plan.images, strict=True)]
            classes = torch.from_numpy(np.concatenate(slots)).long()
            per_crop = GEOMETRY.visual_tokens_per_crop
            features = self.inner.vision_encoder.spelling.known(
                classes.unflatten(0, (-1, per_crop)), plan.grids
            )
        self._read(self.inner.connector(features).flatten(0, 1))

    def _read(self, visual: Tensor) -> None:
        ids = self._ids("?")
        places = [n for n, one in enumerate(ids) if one == self.processor.image_token_id]
        self.length, self.cache = places[-1] + 1, DynamicCache()
        embeds = self.model.get_input_embeddings()(torch.tensor(ids[: self.length]))
        embeds = embeds.index_copy(0, torch.tensor(places), visual)
        self.inner.language_model(inputs_embeds=embeds[None], past_key_values=self.cache)

    def _ids(self, question: str) -> list[int]:
        parts = (*(ImagePart() for _ in self.crops), TextPart(question))
        encode = self.processor.prompt_builder.encode
        return list(encode([Message("user", parts)], self.crops, ending="answer").input_ids)

    @torch.inference_mode()
    def ask(self, question: str) -> str:
        """The answer about the open document."""
        new = self._ids(f"{question}\n{instruction_for('direct')}")[self.length :]
        said = bytearray()
        for _ in range(LONGEST):
            read = self.inner.language_model(torch.tensor([new]), past_key_values=self.cache)
            token = int(self.model.lm_head(read.last_hidden_state[0, -1]).argmax())
            if token == END_TOKEN:
                break
            said += bytes([token]) if token < 256 else b""
            new = [token]
        self.cache.crop(self.length - self.cache.get_seq_length())
        return said.decode("utf-8", "replace")


def score(turn: QuestionAnswer, answer: str) -> float:
    """ANLS with threshold 0.5."""
    return 100 * calculate_anls([turn.answer, *turn.aliases], answer)


def main() -> None:
    """Ask and print one JSON object per family and number of pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=("train", "test"), default="train")
    parser.add_argument("--seed", type=int, default=777)
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--model", type=Path, default=SHIPPED_MODELS / DEFAULT_MODEL)
    parser.add_argument("--show", action="store_true", help="Print every answer, too.")
    given = parser.parse_args()
    held_out = tomllib.loads(SUITE.read_text(encoding="utf-8"))["sets"]["held-out"]["synth"]
    settings = settings_of(held_out["preset"], None, held_out["change"], given.seed)
    maker = SampleMaker(settings, given.split)
    asker, found = Asker(given.model), defaultdict[tuple[str, str], list[dict[str, float]]](list)
    for index in track(range(given.documents), "asking"):
        for family, pages, ways in losses(asker, maker.make(index), is_shown=given.show):
            found[family, pages].append(ways)
    for (family, pages), scores in sorted(found.items()):
        ways = {way: round(mean(one[way] for one in scores), 1) for way in scores[0]}
        print(json.dumps({"family": family, "pages": pages, "questions": len(scores), **ways}))


def losses(asker: Asker, made: Any, *, is_shown: bool) -> list[tuple[str, str, dict[str, float]]]:
    """Scores of the questions of a document, asked in all ways."""
    lessons = draw_lessons(
        made.pdf, [()] * len(made.sample.images), options=page_options(nano_processor())
    )
    turns = [turn for turn in made.sample.qa if turn.family in FAMILIES]
    answers: list[dict[str, str]] = [{} for _ in turns]
    for way, is_read in (("true slots", False), ("encoder", True)):
        asker.open(lessons, is_read=is_read)
        for turn, said in zip(turns, answers, strict=True):
            said[way] = asker.ask(turn.question)
    for page, lesson in enumerate(lessons):
        own = [n for n, turn in enumerate(turns) if page_of(turn) == page]
        if own:
            asker.open([lesson], is_read=False)
            for n in own:
                answers[n]["its page alone"] = asker.ask(turns[n].question)
    if is_shown:
        for turn, said in zip(turns, answers, strict=True):
            print(json.dumps({"question": turn.question, "answer": turn.answer, **said}))
    pages = "1" if len(lessons) == 1 else "2 and more"
    return [
        (turn.family, pages, {way: score(turn, text) for way, text in said.items()})
        for turn, said in zip(turns, answers, strict=True)
    ]


def page_of(turn: QuestionAnswer) -> int:
    """The page that answers a question; the first where none does."""
    return turn.evidence[0].image if turn.evidence else 0


if __name__ == "__main__":
    main()
