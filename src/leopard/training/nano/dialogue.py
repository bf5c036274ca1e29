"""Lessons in language: conversations about pages, and where each answer's characters are printed.

Two kinds: reading on from a quoted start, and questions, most with printed answers. Both go through
the processor's prompt, so that training sees what inference sees.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from leopard.processor.prompt import PromptBuilder
from leopard.schema.messages import ImagePart, Message, Part, TextPart
from leopard.schema.samples import NOT_ANSWERABLE
from leopard.training.nano.lessons import PrintedLine
from leopard.training.nano.whereabouts import (
    NOWHERE,
    SMALL_WORDS,
    Goal,
    Printed,
    answer_goals,
    find_answer,
    is_led_to,
    labelled_values,
    question_labels,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

READ_ON = (
    "Continue: {start}",
    "Read on from: {start}",
    'What follows "{start}"?',
    'What comes after "{start}"?',
    'Copy the text after "{start}".',
)
ASK = (
    "What is the {label}?",
    "What is the {label}?",
    "What is {label}?",
    "{label}?",
    "What does it say for {label}?",
    "Give the {label}.",
    "What value belongs to {label}?",
    "Find the {label}.",
)
UNKNOWN = (-1, -1)
PRINTED = frozenset({"lookup", "cell"})
"""Families of questions whose answers are printed."""
LONGEST_ANSWER = 40
"""Characters of a passage read on."""


@dataclass(frozen=True, slots=True)
class StudiedPage:
    """A page as the language model meets it."""

    tokens: NDArray[np.generic]
    """Features or slots of its visual tokens, (tokens, width)."""
    filled: NDArray[np.bool_]
    """Whether anything readable is printed in a visual token, (tokens,)."""
    lines: tuple[PrintedLine, ...]
    questions: tuple[tuple[str, str, str], ...]
    num_crops: int


@dataclass(frozen=True, slots=True)
class Turn:
    """A question, its answer, and where the answer is printed."""

    question: str
    answer: str
    goals: tuple[Goal, ...]
    """Where each character of the answer is printed, on `image`."""
    image: int
    has_label: bool = False
    """Whether a label in the question stands beside or above the answer, in a known place."""

    @property
    def is_led_to(self) -> bool:
        """Whether a label in the question leads to the answer, both printed in known places."""
        return self.has_label and any(parts for _, _, parts in self.goals)


@dataclass(frozen=True, slots=True)
class Exercise:
    """One training sequence."""

    input_ids: list[int]
    weights: list[float]
    """How much each token counts as a target."""
    targets: list[Goal]
    """(position in the sequence, slot, parts): where each token's character is printed."""
    image_starts: list[int]
    """Position of the first placeholder of each image."""
    turn_starts: list[int] = field(default_factory=list)
    """Positions where further turns begin."""


class Teacher:
    """Makes exercises from pages."""

    def __init__(self, builder: PromptBuilder, *, seed: int) -> None:
        self.builder = builder
        self.rng = random.Random(seed)

    def conversation(self, pages: Sequence[StudiedPage], turns: Sequence[Turn]) -> Exercise:
        """Images and first question, then answers and further questions in turn."""
        exercise = self._opened(pages)
        for number, turn in enumerate(turns):
            if number:
                exercise.turn_starts.append(len(exercise.input_ids))
                self._extend(exercise, self._special_turn("user"), 0.0)
            nowhere, unsaid = (NOWHERE,) * len(turn.question), [0.0] * len(turn.question)
            self._write(exercise, turn.question, nowhere, turn.image, unsaid)
            self._extend(exercise, self._turn_end() + self._special_turn("assistant"), 0.0)
            ones = [1.0] * len(turn.answer)
            self._write(exercise, turn.answer, turn.goals, turn.image, ones)
            self._extend(exercise, self._turn_end(), 1.0)
        return exercise

    def read_on(self, pages: Sequence[StudiedPage]) -> Turn | None:
        """A quoted start that stands once on the pages; the answer is the rest of its line."""
        number = self.rng.randrange(len(pages))
        page = pages[number]
        text = "\n".join(line.text for each in pages for line in each.lines)
        for _ in range(20 if page.lines else 0):
            line = self.rng.choice(page.lines)
            start = self.rng.choice(_word_starts(line.text))
            quote = line.text[start : start + self.rng.randint(4, 14)].rstrip()
            begin = start + len(quote)
            begin += len(line.text[begin:]) - len(line.text[begin:].lstrip())
            end = _end_of_passage(line.text, begin)
            if len(quote) >= 4 and end - begin >= 3 and text.count(quote) == 1:
                question = self.rng.choice(READ_ON).format(start=quote)
                at = question.index(quote)
                value = Printed(page.lines.index(line), begin, end)
                has_label = is_led_to(question, [(at, at + len(quote))], page.lines, value)
                answer = tuple(answer_goals(line.pointers[begin:end]))
                return Turn(question, line.text[begin:end], answer, number, has_label)
        return None

    def labelled(self, pages: Sequence[StudiedPage], *, most: int) -> list[Turn]:
        """Questions for labels as they stand, of those pages whose labels no other page has."""
        turns: list[Turn] = []
        for number, page in enumerate(pages):
            others = "\n".join(
                line.text for each in pages if each is not page for line in each.lines
            )
            for pair in labelled_values(page.lines):
                at, value = pair.label, pair.value
                label = page.lines[at.line].text[at.start : at.end]
                if label.lower() in others.lower():
                    continue
                asked = label if self.rng.random() < 0.5 else label.lower()
                template = self.rng.choice(ASK)
                question, start = template.format(label=asked), template.index("{label}")
                span = (start, start + len(label))
                has_label = is_led_to(question, [span], page.lines, value)
                line = page.lines[value.line]
                goals = tuple(answer_goals(line.pointers[value.start : value.end]))
                text = line.text[value.start : value.end]
                turns.append(Turn(question, text, goals, number, has_label))
        kept = [turn for turn in turns if turn.is_led_to]
        self.rng.shuffle(kept)
        return kept[:most]

    def questions(self, pages: Sequence[StudiedPage]) -> list[Turn]:
        """Questions that one page answers; of labelled values only those that are printed."""
        answers: dict[str, set[str]] = {}
        turns: list[Turn] = []
        for number, page in enumerate(pages):
            for question, answer, family in page.questions:
                answers.setdefault(question.lower(), set()).add(answer)
                turn = _printed_turn(page.lines, question, answer, number)
                if turn is None and family not in PRINTED:
                    turn = Turn(question, answer, (NOWHERE,) * len(answer), number)
                if turn is not None:
                    turns.append(turn)
        kept = [turn for turn in turns if len(answers[turn.question.lower()]) == 1]
        self.rng.shuffle(kept)
        return kept

    def unanswerable(
        self, pages: Sequence[StudiedPage], others: Sequence[StudiedPage]
    ) -> Turn | None:
        """A question about a label that none of the pages shows."""
        text = " ".join(line.text for page in pages for line in page.lines).lower()
        asked = [q for page in others for q, _, family in page.questions if family == "lookup"]
        self.rng.shuffle(asked)
        for question in asked:
            words = [word.strip("?.'\"") for word in question.lower().split()]
            label = [word for word in words if word and word not in SMALL_WORDS][-2:]
            if not all(word in text for word in label):
                none = (NOWHERE,) * len(NOT_ANSWERABLE)
                return Turn(question, NOT_ANSWERABLE, none, 0)
        return None

    # -- writing ----------------------------------------------------------------------------------

    def _opened(self, pages: Sequence[StudiedPage]) -> Exercise:
        """The prompt up to the first question, images expanded, as the processor writes it."""
        parts: tuple[Part, ...] = (*(ImagePart() for _ in pages), TextPart(""))
        prompt = self.builder.encode(
            [Message("user", parts)],
            [page.num_crops for page in pages],
            ending="closed",
        )
        end = prompt.image_spans[-1][1]
        ids = prompt.input_ids[:end]
        placeholder = self.builder.tokens.id(self.builder.tokens.image)
        starts = [
            span[0] + ids[span[0] : span[1]].index(placeholder) for span in prompt.image_spans
        ]
        return Exercise(ids, [0.0] * len(ids), [NOWHERE] * len(ids), starts)

    def _special_turn(self, role: str) -> list[int]:
        names, tokens = self.builder.tokens.names, self.builder.tokens
        return [
            tokens.id(names.header_start),
            *tokens.encode_text(role),
            tokens.id(names.header_end),
            *tokens.encode_text("\n\n"),
        ]

    def _turn_end(self) -> list[int]:
        return [self.builder.tokens.id(self.builder.tokens.names.turn_end)]

    @staticmethod
    def _extend(exercise: Exercise, ids: list[int], weight: float) -> None:
        exercise.input_ids.extend(ids)
        exercise.weights.extend([weight] * len(ids))
        exercise.targets.extend([NOWHERE] * len(ids))

    @staticmethod
    def _moved(goal: Goal, start: int) -> Goal:
        """A goal on an image as one in the sequence."""
        token, slot, parts = goal
        return (start + token, slot, parts) if parts else NOWHERE

    def _write(
        self,
        exercise: Exercise,
        text: str,
        goals: Sequence[Goal],
        image: int,
        weights: Sequence[float],
    ) -> None:
        """Add text character by character; one of several bytes points with its first."""
        start = exercise.image_starts[image]
        ids = self.builder.tokens.encode_text(text)
        is_plain = len(ids) == len(text)
        for char, goal, weight in zip(text, goals, weights, strict=True):
            many = 1 if is_plain else len(self.builder.tokens.encode_text(char))
            exercise.weights.extend([weight] * many)
            exercise.targets.extend([self._moved(goal, start)] + [NOWHERE] * (many - 1))
        if not is_plain:
            ids = [i for char in text for i in self.builder.tokens.encode_text(char)]
        exercise.input_ids.extend(ids)


def _word_starts(text: str) -> list[int]:
    return [0, *(index + 1 for index, char in enumerate(text) if char == " ")]


def _end_of_passage(text: str, begin: int) -> int:
    end = len(text)
    if end - begin > LONGEST_ANSWER:
        cut = text.rfind(" ", begin, begin + LONGEST_ANSWER)
        end = cut if cut > begin else begin + LONGEST_ANSWER
    return end


def _printed_turn(
    lines: Sequence[PrintedLine], question: str, answer: str, image: int
) -> Turn | None:
    """The turn of a question whose answer is printed; None where it is not."""
    if not answer or not any(answer in line.text for line in lines):
        return None
    spans = question_labels(question, "\n".join(line.text for line in lines).lower())
    labels = [question[start:end].lower() for start, end in spans]
    value = find_answer(lines, answer, labels)
    if value is None:
        return Turn(question, answer, (NOWHERE,) * len(answer), image)
    has_label = is_led_to(question, spans, lines, value)
    pointers = lines[value.line].pointers[value.start : value.end]
    return Turn(question, answer, tuple(answer_goals(pointers)), image, has_label)
