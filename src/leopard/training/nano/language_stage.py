"""Language lessons: the connector and the language model learn to find, to copy and to answer.

First with true slots for eyes, on small pages (`SlotReader`); then with the features of the trained
encoder, which stays as it is, so that every page is encoded once and used several times.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from leopard.inference.loading import has_fast_bfloat16
from leopard.model import LeopardForConditionalGeneration
from leopard.model.reader import Spelling
from leopard.processor.crops import CropPlan, plan_crops, stack_crops
from leopard.schema.geometry import ImageSize
from leopard.training.nano.characters import NUM_CLASSES, image_slots
from leopard.training.nano.dialogue import Exercise, StudiedPage, Teacher, Turn
from leopard.training.nano.lessons import Lesson, printed_lines
from leopard.training.nano.pointers import (
    FIRST,
    FIRST_LAYER,
    SECOND,
    SPELL,
    Look,
    PointerTeacher,
)
from leopard.training.nano.reader_stage import GEOMETRY, MAX_TILES, POLICY
from leopard.training.nano.workers import LessonStream

NEW_PAGES = 2
"""Pages taken in for each draw: making more would take time from learning."""
WEIGHTS = {"found": 0.5, "gathered": 1.0, "meant": 1.0, "spelled": 1.0}
"""How much the parts of supervised attention count against one another."""
MOST_POSITIONS = 5000
"""Padded positions of one forward pass: bounds memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageSettings:
    """What the language lessons are made of."""

    batch: int = 14
    """Sequences of one step."""
    copying: float = 0.5
    """Share of sequences that copy lines; the rest are conversations."""
    characters: int = 160
    """Characters to copy in a sequence."""
    turns: int = 6
    """Turns of a conversation."""
    questions: float = 0.6
    """Share of turns that ask a question; the rest read on."""
    unanswerable: float = 0.0
    """Share of turns that ask for what is not there."""
    question_weight: float = 0.1
    """How much the words of questions count as targets."""
    pointer_weight: float = 0.5
    """How much supervised attention counts."""
    misread: float = 0.0
    """Largest share of true slots that are replaced by other characters, drawn per sequence."""
    pages: tuple[int, ...] = (1,)
    """Pages of a sequence, drawn evenly."""
    pool: int = 3000
    """Pages kept to draw from."""
    empty_share: float = 0.15
    """Share of empty visual tokens that are kept."""


class TrueSlots(nn.Module):
    """What the language model sees when every character is read right.

    Args:
        spelling: The encoder's codes of characters, which these lessons teach too.
        connector: From features to visual tokens.
    """

    def __init__(self, spelling: Spelling, connector: nn.Module) -> None:
        super().__init__()
        self.spelling, self.connector = spelling, connector

    def forward(self, classes: Tensor) -> Tensor:
        """Classes (crops, tokens, SLOTS) to visual tokens (crops, tokens, dim)."""
        return self.connector(self.spelling.known(classes))  # type: ignore[no-any-return]


Studied = list[list[StudiedPage]]
"""Documents; a page that belongs to none is one of its own."""


def study_slots() -> Callable[[list[Lesson]], Studied]:
    """Worker code: pages as true slots."""
    torch.set_num_threads(1)
    return lambda lessons: [[_slots_of(lesson) for lesson in lessons]]


def _slots_of(lesson: Lesson) -> StudiedPage:
    tiled = _plan(lesson).images[0]
    tokens, places = image_slots(lesson.glyphs, tiled)
    lines = tuple(printed_lines(lesson.glyphs, places))
    filled = np.any(tokens, axis=1)
    return StudiedPage(tokens, filled, lines, lesson.questions, tiled.num_crops)


def _plan(lesson: Lesson) -> CropPlan:
    size = ImageSize(lesson.image.width, lesson.image.height)
    return plan_crops([size], geometry=GEOMETRY, policy=POLICY, max_tiles_per_image=MAX_TILES)


@dataclass(frozen=True)
class FeatureStudy:
    """Worker code: pages as the features of a trained encoder."""

    model_folder: Path

    def __call__(self) -> Callable[[list[Lesson]], Studied]:
        """Load the encoder in the worker."""
        torch.set_num_threads(1)
        model = LeopardForConditionalGeneration.from_pretrained(
            self.model_folder, dtype=torch.float32
        ).eval()
        encoder = model.model.vision_encoder.to(memory_format=torch.channels_last)

        def study(lesson: Lesson) -> StudiedPage:
            plan = _plan(lesson)
            pixels = torch.from_numpy(stack_crops([lesson.image], plan))
            with torch.no_grad():
                features = torch.cat([encoder(p).last_hidden_state for p in pixels.split(4)])
            slots, places = image_slots(lesson.glyphs, plan.images[0])
            tokens = features.flatten(0, 1).half().numpy()
            lines = tuple(printed_lines(lesson.glyphs, places))
            filled = np.any(slots, axis=1)
            return StudiedPage(tokens, filled, lines, lesson.questions, plan.num_crops)

        return lambda lessons: [[study(lesson) for lesson in lessons]]


class PagePool:
    """Studied documents to draw from; new ones replace random old ones."""

    def __init__(self, stream: LessonStream, *, size: int, seed: int) -> None:
        self.stream, self.size = stream, size
        self.rng = random.Random(seed)
        self.documents: Studied = [stream.take() for _ in range(min(size, 100))]

    def draw(self, count: int) -> list[StudiedPage]:
        """The pages of a document of several pages, or so many pages that stand alone."""
        for document in self.stream.ready(NEW_PAGES):
            if len(self.documents) < self.size:
                self.documents.append(document)
            else:
                self.documents[self.rng.randrange(self.size)] = document
        drawn = self.rng.sample(self.documents, len(self.documents) // 2)
        if len(drawn[0]) > 1:
            return drawn[0]
        return [document[0] for document in drawn if len(document) == 1][:count]


class LanguageLessons(nn.Module):
    """The language model with what stands before it: true slots, or connector over features."""

    def __init__(
        self, model: LeopardForConditionalGeneration, *, is_seeing_features: bool = False
    ) -> None:
        super().__init__()
        inner: Any = model.model
        self.decoder, self.head = inner.language_model, model.lm_head
        self.front: nn.Module = (
            inner.connector
            if is_seeing_features
            else TrueSlots(inner.vision_encoder.spelling, inner.connector)
        )
        self.pointers = PointerTeacher(self.decoder)

    def learn(
        self,
        batch: Sequence[tuple[Exercise, list[StudiedPage]]],
        *,
        pointer_weight: float,
        empty_share: float = 1.0,
        misread: float = 0.0,
    ) -> dict[str, float]:
        """Learn from a batch: adds gradients, returns figures.

        Args:
            batch: Exercises and their pages.
            pointer_weight: How much supervised attention counts.
            empty_share: Share of empty visual tokens that are kept; the others are left out of
                the sequence, their positions stay, which saves time and hardly changes the lesson.
            misread: Largest share of true slots that are replaced, drawn per sequence.

        Returns:
            `loss` over weighted tokens; `right`, the share of fully weighted tokens predicted;
            `begun`, the share of answers begun right; `found`, `meant` and `spelled`, the shares of
            pointed characters that the three parts of attention found; and `gathered`, the share of
            attention on the letters of labels. `found` is left out where nothing teaches it.
        """
        total = sum(sum(exercise.weights) for exercise, _ in batch)
        goals = [goal for exercise, _ in batch for goal in exercise.targets]
        looks = [k for exercise, _ in batch for k in exercise.looks if not k.is_after]
        counts_of = {
            name: 1 + sum(parts & part > 0 for _, _, parts in goals)
            for name, part in (("found", FIRST), ("spelled", SPELL))
        } | {
            "meant": 1 + len(looks),
            "gathered": 1 + sum(bool(look.beside) + bool(look.above) for look in looks),
        }
        beginnings = 1 + sum(_num_beginnings(exercise) for exercise, _ in batch)
        full = 1 + sum(w == 1 for exercise, _ in batch for w in exercise.weights)
        figures = dict.fromkeys(("loss", "right", "begun", *WEIGHTS), 0.0)
        for part in _parts(batch):
            kept = [thinned(exercise, pages, empty_share) for exercise, pages in part]
            ids, weights, targets, positions = _padded(part, kept)
            embedded = self.embedded(ids, part, kept, misread)
            with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bfloat16()):
                hidden = self.decoder(
                    inputs_embeds=embedded,
                    attention_mask=torch.ones_like(ids),
                    position_ids=positions,
                ).last_hidden_state
                sums = self.pointers.score(targets, _moved_looks(part, kept))
            hidden = hidden.float()
            counts = weights[:, 1:] > 0
            logits = self.head(hidden[:, :-1][counts])
            truth, weight = ids[:, 1:][counts], weights[:, 1:][counts]
            errors = nn.functional.cross_entropy(logits, truth, reduction="none")
            loss = (errors * weight).sum() / total
            attention = sum(
                WEIGHTS[name] * getattr(sums, name).loss / counts_of[name] for name in WEIGHTS
            )
            (loss + pointer_weight * attention).backward()
            is_right = (logits.argmax(-1) == truth) & (weight == 1)
            figures["loss"] += loss.item()
            figures["right"] += int(is_right.sum()) / full
            begins = _begins(targets)[counts] & (weight == 1)
            figures["begun"] += int((is_right & begins).sum()) / beginnings
            for name in WEIGHTS:
                figures[name] += getattr(sums, name).right / counts_of[name]
        if not self.pointers.is_taught(FIRST_LAYER):
            del figures["found"]  # not looked at
        return figures

    def embedded(
        self,
        ids: Tensor,
        part: Sequence[tuple[Exercise, list[StudiedPage]]],
        kept: list[Tensor],
        misread: float,
    ) -> Tensor:
        """Embeddings with visual tokens in their places, (sequences, length, dim).

        Args:
            ids: Kept tokens, (sequences, length).
            part: Exercises and their pages.
            kept: Which positions of each are kept.
            misread: Largest share of true slots that are replaced, drawn per sequence.
        """
        rows, length = ids.shape
        tokens, is_kept, places = [], [], []
        for row, (exercise, pages) in enumerate(part):
            share = float(torch.rand(())) * misread
            moved = kept[row].cumsum(0) - 1
            for start, page in zip(exercise.image_starts, pages, strict=True):
                span = slice(start, start + len(page.tokens))
                seen = torch.from_numpy(np.asarray(page.tokens))
                tokens.append(_misread(seen, share) if share else seen)
                is_kept.append(kept[row][span])
                places.append(row * length + moved[span][kept[row][span]])
        joined = torch.cat(tokens)
        joined = joined.float() if joined.is_floating_point() else joined.long()
        visual = self.front(joined.unflatten(0, (-1, GEOMETRY.visual_tokens_per_crop)))
        text = self.decoder.get_input_embeddings()(ids).flatten(0, 1)
        visual = visual.reshape(-1, text.shape[-1])[torch.cat(is_kept)]
        merged: Tensor = text.index_copy(0, torch.cat(places), visual)
        return merged.view(rows, length, -1)


def _misread(classes: Tensor, share: float) -> Tensor:
    """Some filled slots with other characters, as an encoder that is not sure reads them."""
    is_wrong = (torch.rand(classes.shape) < share) & (classes > 0)
    return torch.where(is_wrong, torch.randint_like(classes, 0, NUM_CLASSES), classes)


def _begins(targets: Tensor) -> Tensor:
    """Whether a token, from the second on, begins a printed answer, (rows, length - 1)."""
    begins: Tensor = targets[:, 1:, 2] == SECOND
    return begins


def _num_beginnings(exercise: Exercise) -> int:
    goals = zip(exercise.targets, exercise.weights, strict=True)
    return sum(parts == SECOND and weight == 1 for (_, _, parts), weight in goals)


def make_batch(
    teacher: Teacher, pool: PagePool, settings: LanguageSettings
) -> list[tuple[Exercise, list[StudiedPage]]]:
    """Exercises about pages of the pool."""
    batch: list[tuple[Exercise, list[StudiedPage]]] = []
    rng = teacher.rng
    while len(batch) < settings.batch:
        pages = pool.draw(rng.choice(settings.pages))
        if rng.random() < settings.copying:
            exercise = teacher.copying(pages, num_characters=settings.characters)
        else:
            exercise = _conversation(teacher, pool, pages, settings)
        if exercise is not None:
            batch.append((exercise, pages))
    return sorted(batch, key=lambda item: len(item[0].input_ids))


def _conversation(
    teacher: Teacher, pool: PagePool, pages: list[StudiedPage], settings: LanguageSettings
) -> Exercise | None:
    rng = teacher.rng
    questions = teacher.questions(pages)
    turns: list[Turn] = []
    for _ in range(settings.turns):
        drawn = rng.random()
        turn: Turn | None
        if drawn < settings.unanswerable:
            turn = teacher.unanswerable(pages, pool.draw(3))
        elif drawn < settings.unanswerable + settings.questions and questions:
            turn = questions.pop()
        else:
            turn = teacher.read_on(pages)
        if turn is not None:
            turns.append(turn)
    if not turns:
        return None
    return teacher.conversation(pages, turns, question_weight=settings.question_weight)


def _parts(
    batch: Sequence[tuple[Exercise, list[StudiedPage]]],
) -> list[list[tuple[Exercise, list[StudiedPage]]]]:
    """Neighbours in length, few enough that padding and memory stay small."""
    parts: list[list[tuple[Exercise, list[StudiedPage]]]] = [[]]
    for item in batch:
        if parts[-1] and len(item[0].input_ids) * (len(parts[-1]) + 1) > MOST_POSITIONS:
            parts.append([])
        parts[-1].append(item)
    return parts


def thinned(exercise: Exercise, pages: Sequence[StudiedPage], empty_share: float) -> Tensor:
    """Which positions of a sequence are kept, (length,): all but some empty visual tokens.

    The one after a filled token stays: there the text ends.
    """
    kept = torch.ones(len(exercise.input_ids), dtype=torch.bool)
    if empty_share < 1:
        for start, page in zip(exercise.image_starts, pages, strict=True):
            filled = torch.from_numpy(page.filled)
            after = filled.roll(1)
            chance = torch.rand(len(filled)) < empty_share
            kept[start : start + len(filled)] = filled | after | chance
    return kept


def _padded(
    part: Sequence[tuple[Exercise, list[StudiedPage]]], kept: list[Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Ids, weights and positions (rows, length) and goals (rows, length, 3), padded right."""
    length = max(int(mask.sum()) for mask in kept)
    ids = torch.zeros(len(part), length, dtype=torch.long)
    positions = torch.zeros(len(part), length, dtype=torch.long)
    weights = torch.zeros(len(part), length)
    targets = torch.zeros(len(part), length, 3, dtype=torch.long)
    for row, ((exercise, _), mask) in enumerate(zip(part, kept, strict=True)):
        size = int(mask.sum())
        ids[row, :size] = torch.tensor(exercise.input_ids)[mask]
        weights[row, :size] = torch.tensor(exercise.weights)[mask]
        positions[row, :size] = mask.nonzero().squeeze(1)
        positions[row, size:] = len(mask) - 1
        goals = torch.tensor(exercise.targets)[mask]
        known = goals[:, 2] > 0
        goals[known, 0] = (mask.cumsum(0) - 1)[goals[known, 0]]
        targets[row, :size] = goals
    return ids, weights, targets, positions


def new_positions(kept: Tensor) -> list[int]:
    """Number of each position when only the kept ones are counted."""
    numbers: list[int] = (kept.cumsum(0) - 1).tolist()
    return numbers


def _moved_looks(
    part: Sequence[tuple[Exercise, list[StudiedPage]]], kept: list[Tensor]
) -> list[list[Look]]:
    """Looks of each sequence, positions counted without the tokens left out."""
    return [
        [look.moved(new) for look in exercise.looks]
        for (exercise, _), new in zip(part, map(new_positions, kept), strict=True)
    ]


def describe(figures: dict[str, Any]) -> str:
    """One line of a log for people."""
    return "  ".join(f"{name} {value}" for name, value in figures.items())
