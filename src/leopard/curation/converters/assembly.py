"""Several records put together into one sample whose questions say which image they mean.

Follows the Leopard paper, section 3.1: single-image samples are shown one after the other and
their questions become turns, each with a reference such as "in the second image". Documents of
several pages are referred to by their run of images. Knows nothing of files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random

from leopard.curation.converters.drafts import Draft
from leopard.curation.randomness import stream
from leopard.schema.samples import QuestionAnswer

POOL = 64
"""Drafts from which partners are drawn; few, so that pictures in records stay in memory shortly."""
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_QUESTION_WORDS = frozenset(
    {
        "what", "which", "who", "whom", "whose", "where", "when", "why", "how", "is", "are", "was",
        "were", "do", "does", "did", "has", "have", "had", "can", "could", "will", "would",
        "should", "between", "among", "of", "in", "on", "at", "for", "by", "according", "based",
        "list", "name", "give", "find", "describe", "explain", "identify",
    }
)  # fmt: skip


def assembled(
    drafts: Iterable[Draft], sizes: tuple[int, int], seed_parts: tuple[object, ...]
) -> Iterator[Draft]:
    """Drafts put together, each of them in exactly one result.

    Args:
        drafts: In the order of the source.
        sizes: Least and most images of a result. A lone rest may stay below the least.
        seed_parts: Names of the random stream.

    Yields:
        Drafts whose questions say which image they mean; a draft alone is left as it was.
    """
    pool: list[Draft] = []
    number = 0
    for draft in drafts:
        pool.append(draft)
        if len(pool) == POOL:
            yield from _from_pool(pool, sizes, stream(*seed_parts, "assemble", number))
            pool, number = [], number + 1
    yield from _from_pool(pool, sizes, stream(*seed_parts, "assemble", number))


def _from_pool(pool: list[Draft], sizes: tuple[int, int], rng: Random) -> Iterator[Draft]:
    waiting = list(pool)
    rng.shuffle(waiting)
    while waiting:
        wanted = rng.randint(*sizes)
        group = [waiting.pop(0)]
        for other in list(waiting):
            count = sum(len(member.pictures) for member in group)
            if count >= wanted:
                break
            fits = count + len(other.pictures) <= sizes[1]
            if fits and all(_strangers(other, member) for member in group):
                group.append(other)
                waiting.remove(other)
        yield group[0] if len(group) == 1 else join(group, rng)


def _strangers(one: Draft, other: Draft) -> bool:
    """Whether both may stand in one sample: of one split, and not about the same picture."""
    return one.split == other.split and one.doc_id != other.doc_id


def join(group: list[Draft], rng: Random) -> Draft:
    """One draft from several: pictures in order, questions as turns with references."""
    pictures = tuple(picture for member in group for picture in member.pictures)
    qa: list[QuestionAnswer] = []
    first = 0
    for member in group:
        last = first + len(member.pictures) - 1
        qa += [_referring(turn, (first, last), len(pictures), rng) for turn in member.qa]
        first = last + 1
    names = "\x1f".join(member.id for member in group)
    digest = hashlib.sha256(names.encode()).hexdigest()[:16]
    return Draft(
        id=f"set-{digest}",
        doc_id=f"set-{digest}",
        pictures=pictures,
        qa=tuple(qa),
        split=group[0].split,
        note={"parents": [member.id for member in group]},
    )


def _referring(
    turn: QuestionAnswer, span: tuple[int, int], total: int, rng: Random
) -> QuestionAnswer:
    evidence = tuple(replace(item, image=item.image + span[0]) for item in turn.evidence)
    return replace(
        turn, question=refer(turn.question, reference(span, total, rng)), evidence=evidence
    )


def reference(span: tuple[int, int], total: int, rng: Random) -> str:
    """Words for a run of images, both ends counted from 0: "the second image", "images 2 to 4"."""
    first, last = span
    if first != last:
        return f"images {first + 1} {'and' if last == first + 1 else 'to'} {last + 1}"
    names = [f"image {first + 1}"]
    if first < len(_ORDINALS):
        names += [f"the {_ORDINALS[first]} image"] * 3
    if total > 1 and first == total - 1:
        names.append("the last image")
    if total == 2:
        side = "left" if first == 0 else "right"
        names.append(f"the image on the {side}-hand side")
    return rng.choice(names)


def refer(question: str, name: str) -> str:
    """The question about the images of this name."""
    word, blank, rest = question.partition(" ")
    if word.lower() in _QUESTION_WORDS and word[1:].islower():
        return f"In {name}, {word.lower()}{blank}{rest}"
    return f"Look at {name}. {question}"
