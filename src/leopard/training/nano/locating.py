"""Locating lessons: what is known of a page is kept, only where answers stand is learned.

The first two layers find letters from the start and stay as they are, so their states of a page are
worked out once and used many times; the third layer gathers, and the fourth layer's attention
looks. That is a tenth of the work of whole lessons.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from leopard.training.nano.characters import LINES_PER_CELL, PLACES_PER_LINE
from leopard.training.nano.codes import class_codes
from leopard.training.nano.dialogue import Exercise, StudiedPage, Teacher
from leopard.training.nano.known import (
    KnownLessons,
    KnownStates,
    SmallLanguageModel,
    attended,
    crowded,
)
from leopard.training.nano.pointers import (
    GATHERING_LAYER,
    SECOND_LAYER,
    PointerSums,
    bounded,
    positions_of,
    weights_of,
)
from leopard.training.nano.start import MEANT_SHARE
from leopard.training.nano.zones import (
    FIRST,
    IDENTITY,
    MEANT,
    PLACE_LENGTH,
    PLACE_SIZE,
    place_of_line,
)

CODE_GAIN = 5.0
"""Sharpness with which a code tells a character."""

TAUGHT = tuple(
    f"layers.{layer}.self_attn.{part}_proj"
    for layer in (GATHERING_LAYER, SECOND_LAYER)
    for part in "qk"
)
"""Parts of the names of parameters that learn: where to look, not what to bring from there. What is
brought has been right from the start, and lessons in it are noise to all later layers."""


class LocatingLessons(KnownLessons):
    """The layers that learn where answers stand.

    Args:
        whole: The language model.
    """

    def __init__(self, whole: SmallLanguageModel) -> None:
        super().__init__(whole, GATHERING_LAYER)
        self._codes = class_codes()[:, :IDENTITY]
        self._places = torch.stack([place_of_line(line) for line in range(LINES_PER_CELL)])

    def learn(self, batch: Sequence[KnownStates]) -> dict[str, float]:
        """Learn from a batch: adds gradients, returns figures.

        Returns:
            `loss`; `meant`, the share of looks that hit; and `first`, the share that know the
            answer's first character.
        """
        looks = [look for known in batch for look in known.looks if not look.is_after]
        count = 1 + len(looks)
        figures = dict.fromkeys(("loss", "meant", "first"), 0.0)
        for known in batch:
            sums = PointerSums()
            first, written = self._score(known, sums)
            loss = (sums.meant.loss + written) / count
            loss.backward()
            figures["loss"] += loss.item()
            figures["meant"] += sums.meant.right / count
            figures["first"] += first / count
        return figures

    def _score(self, known: KnownStates, sums: PointerSums) -> tuple[int, Tensor]:
        """Score a sequence: looks that know the first character, and the loss of what they say."""
        decoder: Any = self.whole.decoder
        pointers = self.whole.pointers
        gathering, looking = decoder.layers[GATHERING_LAYER], decoder.layers[SECOND_LAYER]
        hidden = known.states.float()[None]
        turns = decoder.rotary_emb(hidden, known.positions[None])
        mask = crowded(known.crowd)
        hidden = gathering(hidden, attention_mask=mask, position_embeddings=turns)
        normed = looking.input_layernorm(hidden)
        pointers.hear(SECOND_LAYER, normed, known.crowd)
        pointers.score_looks(sums, 0, known.looks)
        asked = positions_of(known.looks)
        shares = pointers.log_attention(SECOND_LAYER, 0, asked)
        after = hidden[0, asked] + attended(looking.self_attn, normed[0], shares)
        return self._written(known, hidden[0], after)

    def _written(self, known: KnownStates, before: Tensor, after: Tensor) -> tuple[int, Tensor]:
        """Whether looks have written the first character and the place of what they found."""
        codes = self._codes
        first = torch.tensor([look.first for look in known.looks]) - 1
        spoken = after[:, FIRST : FIRST + IDENTITY]
        logits = spoken @ codes.T * CODE_GAIN
        goals = torch.tensor([look.token for look in known.looks])
        lines = torch.tensor([look.slot // PLACES_PER_LINE for look in known.looks])
        places = (
            torch.einsum("npd,nd->np", self._places[lines], before[goals].detach()) * MEANT_SHARE
        )
        weight, is_first = weights_of(known.looks)
        meant = after[:, MEANT : MEANT + PLACE_SIZE]
        loss = -bounded(-nn.functional.cross_entropy(logits, first, reduction="none"))
        loss = loss + (spoken - codes[first]).square().sum(1)
        off = (meant - places).square().mean(1) / (PLACE_LENGTH * MEANT_SHARE) ** 2
        is_right = (logits.argmax(-1) == first) & is_first
        return int(is_right.sum()), ((loss + off) * weight).sum()


class PrintedQuestions:
    """Sequences of questions that labels and their values answer.

    Args:
        teacher: Writes them.
        turns: Questions of a sequence at most.
    """

    def __init__(self, teacher: Teacher, turns: int) -> None:
        self.teacher, self.turns = teacher, turns

    def __call__(self, pages: list[StudiedPage]) -> Exercise | None:
        """A sequence about pages; None where no answer stands in a known place."""
        asked = self.teacher.questions(pages, is_printed_only=True)
        turns = (asked + self.teacher.labelled(pages, most=self.turns // 2))[: self.turns]
        self.teacher.rng.shuffle(turns)
        exercise = self.teacher.conversation(pages, turns) if turns else None
        return exercise if exercise and exercise.looks else None
