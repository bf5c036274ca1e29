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

from leopard.training.nano.characters import LINES_PER_CELL, PLACES, PLACES_PER_LINE
from leopard.training.nano.codes import class_codes
from leopard.training.nano.dialogue import Exercise, StudiedPage, Teacher
from leopard.training.nano.known import (
    KnownLessons,
    KnownStates,
    SmallLanguageModel,
    attended,
    autocast,
    crowded,
)
from leopard.training.nano.pointers import (
    GATHERING_LAYER,
    SECOND_LAYER,
    PointerSums,
    positions_of,
    weights_of,
)
from leopard.training.nano.start import MEANT_SHARE
from leopard.training.nano.zones import (
    ANSWER,
    CODE,
    COLUMN_FLAG,
    FIRST,
    FLAG,
    FOUND,
    HASH,
    IDENTITY,
    IMAGE,
    MEANT,
    PLACE_LENGTH,
    PLACE_SIZE,
    SAID,
    SPECIAL,
    START,
    TEXT,
    place_of_line,
)

GATHERED_WEIGHT = 0.15
"""How much the last letters of labels count as what to gather by: other letters may tell better."""
CODE_GAIN = 5.0
"""Sharpness with which a code tells a character."""

KEPT_WEIGHT, QUIET_WEIGHT = 0.5, 0.02
"""How much it counts that what later layers read stays, and that little is added to all tokens:
that would make everything else fainter."""

FLAGS_WEIGHT = 5.0
"""How much it counts that marks stay: what reads them has large weights."""
MARKS = (TEXT, IMAGE, START, COLUMN_FLAG, ANSWER, SPECIAL)

TAUGHT = (f"layers.{GATHERING_LAYER}.", f"layers.{SECOND_LAYER}.self_attn.")
"""Parts of the names of parameters that learn."""


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
            `loss`; `gathered`, the share of attention on the letters of labels; `meant`, the share
            of looks that hit; `first`, the share that know the answer's first character; and
            `kept`, the loss of what has been moved.
        """
        looks = [look for known in batch for look in known.looks if not look.is_after]
        count = 1 + len(looks)
        letters = 1 + sum(bool(look.beside) + bool(look.above) for look in looks)
        figures = dict.fromkeys(("loss", "gathered", "meant", "first", "kept"), 0.0)
        for known in batch:
            sums = PointerSums()
            first, written, kept = self._score(known, sums)
            gathered = GATHERED_WEIGHT * sums.gathered.loss / letters
            loss = (sums.meant.loss + written) / count + gathered + kept / len(batch)
            loss.backward()
            figures["loss"] += loss.item()
            figures["gathered"] += sums.gathered.right / letters
            figures["meant"] += sums.meant.right / count
            figures["first"] += first / count
            figures["kept"] += float(kept.detach()) / len(batch)
        return figures

    def _score(self, known: KnownStates, sums: PointerSums) -> tuple[int, Tensor, Tensor]:
        """Score a sequence.

        Returns:
            How many looks know the first character, the loss of what they bring back, and that of
            what has been moved.
        """
        decoder: Any = self.whole.decoder
        pointers = self.whole.pointers
        gathering, looking = decoder.layers[GATHERING_LAYER], decoder.layers[SECOND_LAYER]
        hidden = known.states.float()[None]
        turns = decoder.rotary_emb(hidden, known.positions[None])
        with autocast():
            mask = crowded(known.crowd)
            hidden = gathering(hidden, attention_mask=mask, position_embeddings=turns)
            normed = looking.input_layernorm(hidden)
            pointers.hear(SECOND_LAYER, normed, known.crowd)
            pointers.score_looks(sums, 0, known.looks)
            asked = positions_of(known.looks)
            shares = pointers.log_attention(SECOND_LAYER, 0, asked)
            brought = attended(looking.self_attn, normed[0], shares)
            after = hidden[0, asked] + brought
        first, written = self._written(known, hidden[0].float(), after.float())
        own = looking.self_attn.v_proj(normed[0, :1])  # the first token sees itself only
        added = torch.cat([brought, looking.self_attn.o_proj(own)]).float()
        kept = _moved(known.states.float(), hidden[0].float() - known.states.float())
        kept = kept + KEPT_WEIGHT * added[:, : SAID + CODE].square().sum(1).mean()
        return first, written, kept + FLAGS_WEIGHT * _flags(added)

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
        loss = nn.functional.cross_entropy(logits, first, reduction="none")
        loss = loss + (spoken - codes[first]).square().sum(1)
        off = (meant - places).square().mean(1) / (PLACE_LENGTH * MEANT_SHARE) ** 2
        is_right = (logits.argmax(-1) == first) & is_first
        return int(is_right.sum()), ((loss + off) * weight).sum()


def _moved(states: Tensor, added: Tensor) -> Tensor:
    """How far the gathering layer moves what it is to leave alone, (length, dim) each.

    That is the characters of visual tokens, of text the letters and what is to be said, the marks
    of all, and the first token altogether, on which heads rest.
    """
    is_image = states[:, IMAGE] > FLAG / 2
    slots = added[is_image, : PLACES * CODE].square().sum(1).mean()
    letters = added[~is_image, : SAID + CODE].square().sum(1).mean()
    loud = added[:, FOUND : FOUND + HASH].square().sum(1).mean()
    moved = KEPT_WEIGHT * (slots + letters) + QUIET_WEIGHT * (loud + added[0].square().sum())
    return moved + FLAGS_WEIGHT * (_flags(added) + _flags(added[:1]))


def _flags(added: Tensor) -> Tensor:
    """Mean square of what is added to the marks that say what a token is."""
    return added[:, list(MARKS)].square().sum(1).mean()


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
