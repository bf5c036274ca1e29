"""Asking lessons: the last layer and the output learn to answer and to stop.

Where answers stand, and how they are read out, the model knows from the start
(`leopard.training.nano.start`); the layers below stay as they are, so their states are worked out
once. Only the positions that say something are run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from leopard.training.nano.dialogue import Exercise, StudiedPage, Teacher, Turn
from leopard.training.nano.known import (
    KnownLessons,
    KnownStates,
    SequenceSettings,
    SmallLanguageModel,
    attended,
)
from leopard.training.nano.pointers import (
    BEGINNING,
    SPELL,
    SPELLING_LAYER,
    num_found,
)

TAUGHT = (f"layers.{SPELLING_LAYER}.mlp", "head")
"""Parts of the names of parameters that learn. Attention does not: it finds places by weights that
balance finely, and lessons about what it cannot find would only make it noisy."""
REMEMBERED = 8
"""Documents before the present one, of whose questions some are asked that it cannot answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AskingSettings(SequenceSettings):
    """What these lessons are made of."""

    questions: float = 0.7
    """Share of turns that ask a question."""
    unanswerable: float = 0.2
    """Share of turns that ask for what is not there; the rest read on."""


class AskingLessons(KnownLessons):
    """The layer that says what was found.

    Args:
        whole: The language model.
    """

    def __init__(self, whole: SmallLanguageModel) -> None:
        super().__init__(whole, SPELLING_LAYER)

    def learn(self, batch: Sequence[KnownStates]) -> dict[str, float]:
        """Learn from a batch: adds gradients, returns figures.

        Returns:
            `loss` over weighted tokens; `right`, the share of fully weighted tokens predicted;
            `begun`, the share of printed answers begun right; and `spelled`, the share of
            characters after the first one that the head of their slot found.
        """
        total = 1e-6 + sum(float(known.weights.sum()) for known in batch)
        parts = torch.cat([known.targets[:, 2] for known in batch])
        weights = torch.cat([known.weights for known in batch])
        num_spelled = 1 + int((parts == SPELL).sum())
        num_full, num_begun = 1 + int((weights == 1).sum()), 1 + int((parts == BEGINNING).sum())
        figures = dict.fromkeys(("loss", "right", "begun", "spelled"), 0.0)
        for known in batch:
            is_asked = known.weights[1:] > 0
            asked = is_asked.nonzero().squeeze(1)
            if not len(asked):
                continue
            logits, spelled = self._said(known, asked)
            truth, weight = known.ids[1:][is_asked], known.weights[1:][is_asked]
            errors = nn.functional.cross_entropy(logits, truth, reduction="none")
            loss = (errors * weight).sum() / total
            loss.backward()
            is_right = (logits.argmax(-1) == truth) & (weight == 1)
            begins = known.targets[1:, 2][is_asked] == BEGINNING
            figures["loss"] += loss.item()
            figures["right"] += int(is_right.sum()) / num_full
            figures["begun"] += int((is_right & begins).sum()) / num_begun
            figures["spelled"] += spelled / num_spelled
        return figures

    def _said(self, known: KnownStates, asked: Tensor) -> tuple[Tensor, int]:
        """Logits of the tokens after some positions, (asked, vocabulary), and characters found."""
        decoder: Any = self.whole.decoder
        layer, pointers = decoder.layers[SPELLING_LAYER], self.whole.pointers
        hidden = known.states.float()[None]
        normed = layer.input_layernorm(hidden)
        pointers.hear(SPELLING_LAYER, normed, known.crowd)
        shares = pointers.log_attention(SPELLING_LAYER, 0, asked)
        said = hidden[0, asked] + attended(layer.self_attn, normed[0], shares)
        said = said + layer.mlp(layer.post_attention_layernorm(said))
        said = decoder.norm(said)
        token, slot, parts = known.targets[1:][asked].unbind(1)
        is_spelled = parts == SPELL
        spelled = num_found(shares[is_spelled], token[is_spelled], slot[is_spelled])
        return self.whole.head(said.float()), spelled


class Conversations:
    """Sequences about pages: reading on, and questions with and without answers.

    Args:
        teacher: Writes them.
        settings: How much of what.
    """

    def __init__(self, teacher: Teacher, settings: AskingSettings) -> None:
        self.teacher, self.settings = teacher, settings
        self.others: deque[StudiedPage] = deque(maxlen=REMEMBERED)

    def __call__(self, pages: list[StudiedPage]) -> Exercise | None:
        """A sequence about pages; None where there is nothing to ask."""
        turns = self._turns(pages)
        exercise = self.teacher.conversation(pages, turns) if turns else None
        self.others.append(pages[0])
        return exercise

    def _turns(self, pages: list[StudiedPage]) -> list[Turn]:
        settings, teacher = self.settings, self.teacher
        asked = [turn for turn in teacher.questions(pages) if turn.is_led_to]
        questions = asked + teacher.labelled(pages, most=settings.turns // 3)
        teacher.rng.shuffle(questions)
        turns: list[Turn] = []
        for _ in range(settings.turns):
            drawn = teacher.rng.random()
            turn: Turn | None
            if drawn < settings.unanswerable:
                turn = teacher.unanswerable(pages, self.others)
            elif drawn < settings.unanswerable + settings.questions and questions:
                turn = questions.pop()
            else:
                turn = teacher.read_on(pages)
            if turn is not None:
                turns.append(turn)
        return turns
