"""Locating lessons: what is known of a page is kept, only where answers stand is learned.

The first two layers find letters from the start and stay as they are, so their states of a page are
worked out once and used many times; the third layer gathers, and the fourth layer's attention
looks. That is a tenth of the work of whole lessons.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from leopard.inference.loading import has_fast_bfloat16
from leopard.training.nano.characters import LINES_PER_CELL, PLACES_PER_LINE
from leopard.training.nano.codes import class_codes
from leopard.training.nano.dialogue import Exercise, StudiedPage, Teacher
from leopard.training.nano.language_stage import LanguageLessons, new_positions, thinned
from leopard.training.nano.pointers import (
    GATHERING_LAYER,
    SECOND_LAYER,
    Look,
    PointerSums,
    positions_of,
    weights_of,
)
from leopard.training.nano.start import MEANT_SHARE
from leopard.training.nano.start_heads import NUM_HEADS
from leopard.training.nano.zones import (
    FIRST,
    IDENTITY,
    MEANT,
    PLACE_LENGTH,
    PLACE_SIZE,
    place_of_line,
)

GATHERED_WEIGHT = 0.15
"""How much the last letters of labels count as what to gather by: other letters may tell better."""
CODE_GAIN = 5.0
"""Sharpness with which a code tells a character."""

TAUGHT = (f"layers.{GATHERING_LAYER}.", f"layers.{SECOND_LAYER}.self_attn.")
"""Parts of the names of parameters that learn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LocatingSettings:
    """What these lessons are made of."""

    batch: int = 12
    """Sequences of one step."""
    pool: int = 1500
    """Sequences kept to draw from."""
    first: int = 60
    """Sequences worked out before the first step."""
    fresh: int = 6
    """Sequences worked out for each step."""
    turns: int = 12
    """Questions of a sequence at most."""
    misread: float = 0.06
    """Largest share of true slots that are replaced by other characters, drawn per sequence."""
    empty_share: float = 0.1
    """Share of empty visual tokens that are kept."""
    longest: int = 6000
    """Positions of a sequence at most."""
    farthest: int = 8000
    """Half the sequences stand up to so many positions further on, as if more pages came before."""


@dataclass(frozen=True, slots=True)
class KnownStates:
    """A sequence as the gathering layer meets it."""

    states: Tensor
    """Half precision, (length, dim)."""
    positions: Tensor
    """Positions, (length,): some empty visual tokens are left out."""
    looks: tuple[Look, ...]


class LocatingLessons(nn.Module):
    """The layers that learn where answers stand.

    Args:
        lessons: The whole language model; all but these layers stays as it is.
    """

    def __init__(self, lessons: LanguageLessons) -> None:
        super().__init__()
        layers: Any = lessons.decoder.layers
        self.gathering = layers[GATHERING_LAYER]
        self.looking = layers[SECOND_LAYER]
        self._whole = [lessons]
        self._codes = class_codes()[:, :IDENTITY]
        self._places = torch.stack([place_of_line(line) for line in range(LINES_PER_CELL)])

    @torch.no_grad()
    def known(
        self,
        exercise: Exercise,
        pages: list[StudiedPage],
        *,
        empty_share: float,
        misread: float,
        further: int = 0,
    ) -> KnownStates:
        """States of a sequence before the gathering layer.

        Args:
            exercise: The sequence.
            pages: Its pages.
            empty_share: Share of empty visual tokens that are kept.
            misread: Largest share of true slots that are replaced.
            further: Positions between the first token and all others.
        """
        whole = self._whole[0]
        decoder: Any = whole.decoder
        kept = thinned(exercise, pages, empty_share)
        ids = torch.tensor(exercise.input_ids)[kept][None]
        positions = kept.nonzero().squeeze(1)
        positions[1:] += further
        new = new_positions(kept)
        with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bfloat16()):
            hidden = whole.embedded(ids, [(exercise, pages)], [kept], misread)
            turns = decoder.rotary_emb(hidden, positions[None])
            for layer in decoder.layers[:GATHERING_LAYER]:
                hidden = layer(hidden, position_embeddings=turns)
        looks = tuple(look.moved(new) for look in exercise.looks)
        return KnownStates(hidden[0].half(), positions, looks)

    def learn(self, batch: Sequence[KnownStates]) -> dict[str, float]:
        """Learn from a batch: adds gradients, returns figures.

        Returns:
            `loss`; `gathered`, the share of attention on the letters of labels; `meant`, the share
            of looks that hit; and `first`, the share that know the answer's first character.
        """
        looks = [look for known in batch for look in known.looks if not look.is_after]
        count = 1 + len(looks)
        letters = 1 + sum(bool(look.beside) + bool(look.above) for look in looks)
        figures = dict.fromkeys(("loss", "gathered", "meant", "first"), 0.0)
        for known in batch:
            sums = PointerSums()
            first, written = self._score(known, sums)
            gathered = GATHERED_WEIGHT * sums.gathered.loss / letters
            loss = (sums.meant.loss + written) / count + gathered
            loss.backward()
            figures["loss"] += loss.item()
            figures["gathered"] += sums.gathered.right / letters
            figures["meant"] += sums.meant.right / count
            figures["first"] += first / count
        return figures

    def _score(self, known: KnownStates, sums: PointerSums) -> tuple[int, Tensor]:
        """Score a sequence.

        Returns:
            How many looks know the first character, and the loss of what they bring back.
        """
        decoder: Any = self._whole[0].decoder
        pointers = self._whole[0].pointers
        hidden = known.states.float()[None]
        turns = decoder.rotary_emb(hidden, known.positions[None])
        attention = self.looking.self_attn
        with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bfloat16()):
            hidden = self.gathering(hidden, position_embeddings=turns)
            normed = self.looking.input_layernorm(hidden)
            pointers.hear(SECOND_LAYER, normed)
            pointers.score_looks(sums, 0, known.looks)
            asked = positions_of(known.looks)
            shares = pointers.log_attention(SECOND_LAYER, 0, asked).exp()
            values = attention.v_proj(normed[0, : shares.shape[-1]]).unflatten(-1, (NUM_HEADS, -1))
            brought = torch.einsum("nhl,lhd->nhd", shares.to(values.dtype), values)
            after = (hidden[0, asked] + attention.o_proj(brought.flatten(1))).float()
        return self._written(known, hidden[0].float(), after)

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


class KnownPool:
    """Sequences to draw from; new ones replace random old ones.

    Args:
        lessons: Work them out.
        teacher: Asks about pages.
        take: Gives the next document.
        settings: What they are made of.
    """

    def __init__(
        self,
        lessons: LocatingLessons,
        teacher: Teacher,
        take: Callable[[], list[StudiedPage]],
        settings: LocatingSettings,
    ) -> None:
        self.lessons, self.teacher, self.take, self.settings = lessons, teacher, take, settings
        self.known: list[KnownStates] = []
        self.rng = random.Random(teacher.rng.random())

    def draw(self) -> list[KnownStates]:
        """Sequences of one step."""
        for _ in range(self.settings.fresh if self.known else self.settings.first):
            known = self._new()
            if len(self.known) < self.settings.pool:
                self.known.append(known)
            else:
                self.known[self.rng.randrange(self.settings.pool)] = known
        return self.rng.sample(self.known, min(self.settings.batch, len(self.known)))

    def _new(self) -> KnownStates:
        while True:
            pages = [self.rng.choice(self.take())]
            turns = self.teacher.questions(pages, is_printed_only=True)[: self.settings.turns]
            if not turns:
                continue
            exercise = self.teacher.conversation(pages, turns, question_weight=0.0)
            if exercise.looks and len(exercise.input_ids) <= self.settings.longest:
                is_further = self.rng.random() < 0.5
                return self.lessons.known(
                    exercise,
                    pages,
                    empty_share=self.settings.empty_share,
                    misread=self.settings.misread,
                    further=self.rng.randrange(self.settings.farthest) if is_further else 0,
                )
