"""Lessons on known states: what lower layers make of a sequence is worked out once, then kept.

The small language model is taught a layer or two at a time, from below, and what is learned of a
page there needs only the states that the layers below have left. They are kept in a pool and drawn
many times: a tenth of the work of whole lessons.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from leopard.training.nano.dialogue import Exercise, StudiedPage
from leopard.training.nano.eyes import TrueSlots
from leopard.training.nano.misreading import misread
from leopard.training.nano.pointers import Pointers
from leopard.training.nano.reader_stage import GEOMETRY
from leopard.training.nano.start_heads import NUM_HEADS

if TYPE_CHECKING:
    from leopard.model import LeopardForConditionalGeneration


APART = 60
"""Positions between two turns of a sequence. Its questions have nothing to do with one another, and
would be asked alone; in between, letters and counts of the turn before would be in the way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SequenceSettings:
    """What lessons on known states are made of."""

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
    several: float = 0.35
    """Share of sequences that show several pages of a document, where there are any."""
    most_pages: int = 3
    """Pages of a sequence at most."""
    misread: float = 0.12
    """Largest share of true slots with an error, drawn per sequence; features have their own."""
    empty_shares: tuple[float, ...] = (0.1,)
    """Shares of empty visual tokens that are kept, drawn evenly. The others are left out to save
    time; their positions stay, and those kept count as many in attention that learns."""
    longest: int = 8000
    """Positions of a sequence at most."""
    farthest: int = 8000
    """Half the sequences stand up to so many positions further on, as if more pages came before."""


@dataclass(frozen=True, slots=True)
class KnownStates:
    """A sequence as the layer meets it that is to learn."""

    states: Tensor
    """Half precision, (length, dim)."""
    positions: Tensor
    """Positions, (length,): some empty visual tokens are left out."""
    ids: Tensor
    """Tokens, (length,)."""
    weights: Tensor
    """How much each token counts as a target, (length,)."""
    targets: Tensor
    """(position, slot, parts) where each token's character is printed, (length, 3)."""
    crowd: Tensor
    """What to add to attention logits of each token, (length,): the logarithm of how many it stands
    for, itself and empty ones left out."""


class SmallLanguageModel(nn.Module):
    """The language model with what stands before it: true slots, or connector over features.

    What stands before it is no part of it, is not taught and not saved: codes and connector are an
    exact map from the start, by units far from zero, and the least step in one of their weights
    would move all visual tokens together.

    Args:
        model: The whole model.
        is_seeing_features: Whether pages come as features of an encoder instead of true slots.
    """

    def __init__(
        self, model: LeopardForConditionalGeneration, *, is_seeing_features: bool = False
    ) -> None:
        super().__init__()
        inner: Any = model.model
        self.decoder, self.head = inner.language_model, model.lm_head
        spelling, connector = inner.vision_encoder.spelling, inner.connector
        front = connector if is_seeing_features else TrueSlots(spelling, connector)
        self._front: list[nn.Module] = [front.requires_grad_(False)]
        self.is_seeing_features = is_seeing_features
        self.pointers = Pointers(self.decoder)
        self.errors = np.random.default_rng(int(torch.randint(2**31, ()).item()))
        """Draws what is misread."""

    def embedded(
        self,
        ids: Tensor,
        exercise: Exercise,
        pages: Sequence[StudiedPage],
        kept: Tensor,
        misread_share: float = 0.0,
    ) -> Tensor:
        """Embeddings with visual tokens in their places, (1, length, dim).

        Args:
            ids: Kept tokens, (length,).
            exercise: The sequence.
            pages: Its pages.
            kept: Which positions of it are kept.
            misread_share: Largest share of true slots with an error, drawn once.
        """
        share = 0.0 if self.is_seeing_features else float(self.errors.random()) * misread_share
        moved = kept.cumsum(0) - 1
        tokens, is_kept, places = [], [], []
        for start, page in zip(exercise.image_starts, pages, strict=True):
            span = slice(start, start + len(page.tokens))
            seen = misread(page.tokens, share, self.errors) if share else page.tokens  # type: ignore[arg-type]
            shown = torch.from_numpy(np.asarray(seen))
            tokens.append(shown.float() if shown.is_floating_point() else shown.long())
            is_kept.append(kept[span])
            places.append(moved[span][kept[span]])
        visual = self._front[0](
            torch.cat(tokens).unflatten(0, (-1, GEOMETRY.visual_tokens_per_crop))
        )
        text = self.decoder.get_input_embeddings()(ids)
        visual = visual.reshape(-1, text.shape[-1])[torch.cat(is_kept)]
        merged: Tensor = text.index_copy(0, torch.cat(places), visual)
        return merged[None]


class KnownLessons(nn.Module):
    """Layers that learn on states worked out once; all below them stay as they are.

    Args:
        whole: The language model.
        num_known: Layers that work the states out.
    """

    def __init__(self, whole: SmallLanguageModel, num_known: int) -> None:
        super().__init__()
        self._whole, self.num_known = [whole], num_known  # a list: not a part that is saved twice

    @property
    def whole(self) -> SmallLanguageModel:
        """The language model."""
        return self._whole[0]

    @torch.no_grad()
    def known(
        self,
        exercise: Exercise,
        pages: Sequence[StudiedPage],
        *,
        empty_share: float = 1.0,
        misread_share: float = 0.0,
        further: int = 0,
    ) -> KnownStates:
        """States of a sequence before the layers that learn.

        Args:
            exercise: The sequence.
            pages: Its pages.
            empty_share: Share of empty visual tokens that are kept.
            misread_share: Largest share of true slots with an error.
            further: Positions between the first token and all others.
        """
        decoder: Any = self.whole.decoder
        kept, crowd = thinned(exercise, pages, empty_share)
        ids = torch.tensor(exercise.input_ids)[kept]
        positions = torch.arange(len(kept))
        for turn in exercise.turn_starts:
            positions[turn:] += APART
        positions = positions[kept]
        positions[1:] += further
        new = kept.cumsum(0) - 1
        hidden = self.whole.embedded(ids, exercise, pages, kept, misread_share)
        turns = decoder.rotary_emb(hidden, positions[None])
        mask = crowded(crowd[kept])
        for layer in decoder.layers[: self.num_known]:
            hidden = layer(hidden, attention_mask=mask, position_embeddings=turns)
        targets = torch.tensor(exercise.targets)[kept]
        is_known = targets[:, 2] > 0
        targets[is_known, 0] = new[targets[is_known, 0]]
        return KnownStates(
            hidden[0].half(),
            positions,
            ids,
            torch.tensor(exercise.weights)[kept],
            targets,
            crowd[kept],
        )

    def learn(self, batch: Sequence[KnownStates]) -> dict[str, float]:
        """Learn from a batch: adds gradients, returns figures, `loss` among them."""
        raise NotImplementedError


def attended(attention: Any, normed: Tensor, log_shares: Tensor) -> Tensor:
    """What attention brings to some positions.

    Args:
        attention: The layer's attention.
        normed: Its input, (length, dim).
        log_shares: Log attention of these positions, (asked, heads, keys).

    Returns:
        (asked, dim).
    """
    shares = log_shares.exp()
    values = attention.v_proj(normed[: shares.shape[-1]]).unflatten(-1, (NUM_HEADS, -1))
    brought = torch.einsum("nhl,lhd->nhd", shares.to(values.dtype), values)
    result: Tensor = attention.o_proj(brought.flatten(1))
    return result


def crowded(crowd: Tensor) -> Tensor:
    """Causal attention mask in which some tokens stand for several, (1, 1, length, length)."""
    ahead = torch.full((len(crowd), len(crowd)), -1e4).triu(1)
    return (ahead + crowd)[None, None]


def thinned(
    exercise: Exercise, pages: Sequence[StudiedPage], empty_share: float
) -> tuple[Tensor, Tensor]:
    """Leave out some empty visual tokens.

    The one after a filled token stays: there the text ends.

    Returns:
        Which positions of the sequence are kept, (length,), and the logarithm of how many tokens
        each one stands for.
    """
    kept = torch.ones(len(exercise.input_ids), dtype=torch.bool)
    crowd = torch.zeros(len(kept))
    if empty_share < 1:
        for start, page in zip(exercise.image_starts, pages, strict=True):
            filled = torch.from_numpy(page.filled)
            is_fixed = filled | filled.roll(1)
            span = slice(start, start + len(filled))
            kept[span] = is_fixed | (torch.rand(len(filled)) < empty_share)
            crowd[span] = torch.where(is_fixed, 0.0, -math.log(max(empty_share, 1e-9)))
    return kept, crowd


Lessons = TypeVar("Lessons", bound=KnownLessons)
Asks = Callable[[list[StudiedPage]], Exercise | None]
"""Makes a sequence about pages; None where there is nothing to ask."""


class KnownPool(Generic[Lessons]):
    """Sequences to draw from; new ones replace random old ones.

    Args:
        lessons: Work them out.
        ask: Makes them.
        take: Gives the next document.
        settings: What they are made of.
        seed: Draws pages and sequences.
    """

    def __init__(
        self,
        lessons: Lessons,
        ask: Asks,
        take: Callable[[], list[StudiedPage]],
        settings: SequenceSettings,
        *,
        seed: int,
    ) -> None:
        self.lessons, self.ask, self.take, self.settings = lessons, ask, take, settings
        self.known: list[KnownStates] = []
        self.rng = random.Random(f"pool:{seed}")

    def draw(self) -> list[KnownStates]:
        """Sequences of one step."""
        for _ in range(self.settings.fresh if self.known else self.settings.first):
            known = self._new()
            if len(self.known) < self.settings.pool:
                self.known.append(known)
            else:
                self.known[self.rng.randrange(self.settings.pool)] = known
        return self.rng.sample(self.known, min(self.settings.batch, len(self.known)))

    def _pages(self) -> list[StudiedPage]:
        """A page of the next document, or some that follow one another."""
        document = self.take()
        is_several = self.rng.random() < self.settings.several
        count = self.rng.randint(2, self.settings.most_pages) if is_several else 1
        first = self.rng.randrange(max(1, len(document) - count + 1))
        return document[first : first + count]

    def sequences(self) -> Iterator[tuple[Exercise, list[StudiedPage]]]:
        """Sequences with their pages, one after the other."""
        while True:
            pages = self._pages()
            exercise = self.ask(pages)
            if exercise is not None and len(exercise.input_ids) <= self.settings.longest:
                yield exercise, pages

    def _new(self) -> KnownStates:
        exercise, pages = next(self.sequences())
        is_further = self.rng.random() < 0.5
        return self.lessons.known(
            exercise,
            pages,
            empty_share=self.rng.choice(self.settings.empty_shares),
            misread_share=self.settings.misread,
            further=self.rng.randrange(self.settings.farthest) if is_further else 0,
        )
