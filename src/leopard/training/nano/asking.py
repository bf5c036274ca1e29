"""Asking lessons: the last layer and the output learn to copy, to answer and to stop.

Where answers stand is known before (`leopard.training.nano.locating`); the layers that know it stay
as they are, so their states are worked out once. Only the positions that say something are run.
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
    SECOND,
    SECOND_LAYER,
    SPELL,
    SPELLING_LAYER,
    PartSum,
    slot_loss,
)
from leopard.training.nano.zones import FLAG, START, TEXT, TEXT_SCALE

TAUGHT = (f"layers.{SPELLING_LAYER}.", "decoder.norm", "head")
"""Parts of the names of parameters that learn."""
GAINS = {"head": 3.0, "q_proj": 0.1, "k_proj": 0.1}
"""At how many times the rate: letters are found from the start, by weights that balance finely."""
REMEMBERED = 8
"""Documents before the present one, of whose questions some are asked that it cannot answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AskingSettings(SequenceSettings):
    """What these lessons are made of."""

    copying: float = 0.12
    """Share of sequences that copy lines; the rest are conversations."""
    characters: int = 120
    """Characters to copy in a sequence."""
    questions: float = 0.8
    """Share of turns that ask a question."""
    unanswerable: float = 0.12
    """Share of turns that ask for what is not there; the rest read on."""
    pointer_weight: float = 1.0
    """How much supervised attention counts."""


@torch.no_grad()
def settle(whole: SmallLanguageModel, batch: Sequence[KnownStates]) -> float:
    """Make marks of text as loud after the norms as at the start, before the first lesson.

    What `locating` has added to the stream makes all else fainter there, and the circuits that say
    what was found balance finely. Only the scales of the norms change, and what heads of the last
    layer bring from the first token, on which most of them rest: nothing.

    Args:
        whole: The language model.
        batch: Sequences as the looking layer meets them.

    Returns:
        The scale of the norms for these marks; it was 1 for those of an untrained model, about.
    """
    states = torch.cat([known.states.float() for known in batch])
    text = states[states[:, TEXT] > FLAG / 2]
    mark = text[:, TEXT] / text.square().mean(1).sqrt()
    scale = FLAG * TEXT_SCALE / float(mark.mean())
    layers: Any = whole.decoder.layers
    for norm in (
        layers[SECOND_LAYER].post_attention_layernorm,
        layers[SPELLING_LAYER].input_layernorm,
        layers[SPELLING_LAYER].post_attention_layernorm,
        whole.decoder.norm,
    ):
        norm.weight.mul_(scale / float(norm.weight[TEXT]))
    _silence_start(whole.decoder, states[:1])
    return scale


def _silence_start(decoder: Any, state: Tensor) -> None:
    """Bring nothing from the first token, whose state is the same in all sequences.

    Args:
        decoder: The language model.
        state: Of the first token, as the looking layer meets it, (1, dim).
    """
    looking, layer = (decoder.layers[n] for n in (SECOND_LAYER, SPELLING_LAYER))
    turns = decoder.rotary_emb(state[None], torch.zeros(1, 1, dtype=torch.long))
    after = looking(state[None], attention_mask=None, position_embeddings=turns)
    normed = layer.input_layernorm(after)[0, 0]
    weight = layer.self_attn.v_proj.weight
    weight[:, START] -= weight @ normed / normed[START]


class AskingLessons(KnownLessons):
    """The layer that says what was found.

    Args:
        whole: The language model.
        pointer_weight: How much supervised attention counts.
    """

    def __init__(self, whole: SmallLanguageModel, *, pointer_weight: float) -> None:
        super().__init__(whole, SPELLING_LAYER)
        self.pointer_weight = pointer_weight

    def learn(self, batch: Sequence[KnownStates]) -> dict[str, float]:
        """Learn from a batch: adds gradients, returns figures.

        Returns:
            `loss` over weighted tokens; `right`, the share of fully weighted tokens predicted;
            `begun`, the share of printed answers begun right; and `spelled`, the share of pointed
            characters that the attention of their slot found.
        """
        total = 1e-6 + sum(float(known.weights.sum()) for known in batch)
        parts = torch.cat([known.targets[:, 2] for known in batch])
        weights = torch.cat([known.weights for known in batch])
        num_spelled = 1 + int((parts & SPELL > 0).sum())
        num_full, num_begun = 1 + int((weights == 1).sum()), 1 + int((parts == SECOND).sum())
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
            (loss + self.pointer_weight * spelled.loss / num_spelled).backward()
            is_right = (logits.argmax(-1) == truth) & (weight == 1)
            begins = known.targets[1:, 2][is_asked] == SECOND
            figures["loss"] += loss.item()
            figures["right"] += int(is_right.sum()) / num_full
            figures["begun"] += int((is_right & begins).sum()) / num_begun
            figures["spelled"] += spelled.right / num_spelled
        return figures

    def _said(self, known: KnownStates, asked: Tensor) -> tuple[Tensor, PartSum]:
        """Logits of the tokens after some positions, (asked, vocabulary), and where it looked."""
        decoder: Any = self.whole.decoder
        layer, pointers = decoder.layers[SPELLING_LAYER], self.whole.pointers
        hidden = known.states.float()[None]
        spelled = PartSum()
        normed = layer.input_layernorm(hidden)
        pointers.hear(SPELLING_LAYER, normed, known.crowd)
        shares = pointers.log_attention(SPELLING_LAYER, 0, asked)
        said = hidden[0, asked] + attended(layer.self_attn, normed[0], shares)
        said = said + layer.mlp(layer.post_attention_layernorm(said))
        said = decoder.norm(said)
        token, slot, parts = known.targets[1:][asked].unbind(1)
        is_spelled = parts & SPELL > 0
        if is_spelled.any():
            spelled.add(
                int(is_spelled.sum()),
                *slot_loss(shares[is_spelled], token[is_spelled], slot[is_spelled]),
            )
        return self.whole.head(said.float()), spelled


class Conversations:
    """Sequences about pages: copying, reading on, and questions with and without answers.

    Args:
        teacher: Writes them.
        settings: How much of what.
    """

    def __init__(self, teacher: Teacher, settings: AskingSettings) -> None:
        self.teacher, self.settings = teacher, settings
        self.others: deque[StudiedPage] = deque(maxlen=REMEMBERED)

    def __call__(self, pages: list[StudiedPage]) -> Exercise | None:
        """A sequence about pages; None where there is nothing to ask."""
        if self.teacher.rng.random() < self.settings.copying:
            exercise = self.teacher.copying(pages, num_characters=self.settings.characters)
        else:
            turns = self._turns(pages)
            exercise = self.teacher.conversation(pages, turns) if turns else None
        self.others.append(pages[0])
        return exercise

    def _turns(self, pages: list[StudiedPage]) -> list[Turn]:
        settings, teacher = self.settings, self.teacher
        questions = teacher.questions(pages) + teacher.labelled(pages, most=settings.turns // 3)
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
