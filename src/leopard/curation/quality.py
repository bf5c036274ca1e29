"""Global quality control: duplicates, contamination, and what can be guessed without looking.

Works on finished shards and writes drop lists, never new shards; exports and mixes apply them.
Knows nothing of how samples are made.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL.Image

from leopard.curation.exports import pixel_samples, tagged
from leopard.curation.randomness import share
from leopard.curation.signatures import (
    BANDS,
    NEAR_BITS,
    Signature,
    bands,
    distance,
    hash_bands,
    minhash,
    page_hash,
    resemblance,
    shingles,
)
from leopard.errors import DataError
from leopard.schema.files import write_text_atomically
from leopard.schema.samples import PixelImage, Sample
from leopard.schema.shards import iter_samples

NEAR_TEXT = 0.8
"""Resemblance of questions and answers above which two samples say the same."""
OVERLAP_WORDS = 13
"""Run of words that counts as copied from an evaluation set."""
DROP_PREFIX = "drop-"


@dataclass(frozen=True, slots=True)
class Signed:
    """What is compared of one sample."""

    id: str
    pages: tuple[int, ...]
    """Perceptual hash of every image."""
    talk: Signature
    """MinHash of questions and answers."""


def sign(sample: Sample) -> Signed:
    """The signatures of a sample with pixel images."""
    return Signed(sample.id, tuple(page_hashes(sample)), sign_talk(sample))


def sign_talk(sample: Sample) -> Signature:
    """The signature of what is asked and answered."""
    return minhash(shingles(_talk(sample)))


def page_hashes(sample: Sample) -> Iterator[int]:
    """Perceptual hash of every pixel image."""
    for image in sample.images:
        if isinstance(image, PixelImage):
            with PIL.Image.open(io.BytesIO(image.data)) as picture:
                yield page_hash(picture)


def find_duplicates(signed: Sequence[Signed]) -> dict[str, str]:
    """Samples to drop -> the sample each repeats; of a cluster the lowest id stays.

    Two samples are duplicates when the sets of their pages and their questions and answers both
    repeat: decks share title pages, so a repeated page alone is none.
    """
    parent = {item.id: item.id for item in signed}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    buckets: dict[bytes, list[Signed]] = defaultdict(list)
    for item in signed:
        for key in bands(item.talk):
            for other in buckets[key]:
                first, second = root(item.id), root(other.id)
                if first != second and _repeats(item, other):
                    parent[max(first, second)] = min(first, second)
            buckets[key].append(item)
    return {name: root(name) for name in parent if root(name) != name}


def _repeats(first: Signed, second: Signed) -> bool:
    if len(first.pages) != len(second.pages):
        return False
    if resemblance(first.talk, second.talk) < NEAR_TEXT:
        return False
    left = list(second.pages)
    for page in first.pages:
        hit = next((p for p in left if distance(page, p) <= NEAR_BITS), None)
        if hit is None:
            return False
        left.remove(hit)
    return True


@dataclass(slots=True)
class EvaluationSet:
    """What must not be trained on."""

    pages: dict[tuple[int, int], list[int]] = field(default_factory=lambda: defaultdict(list))
    """Perceptual hashes by piece."""
    runs: set[str] = field(default_factory=set)
    """Runs of 13 words of pages and questions."""
    pairs: set[tuple[str, str]] = field(default_factory=set)
    """Question and answer, in lower case."""

    def add_page(self, image: PIL.Image.Image) -> None:
        """Add the picture of a page."""
        value = page_hash(image)
        for piece in hash_bands(value):
            self.pages[piece].append(value)

    def add_pair(self, question: str, answer: str) -> None:
        """Add a question with its answer."""
        self.pairs.add((question.casefold().strip(), answer.casefold().strip()))
        self.runs |= _long_runs(question)

    def leak(self, sample: Sample) -> str:
        """Why a sample with pixel images is contaminated; empty if it is clean."""
        for value in page_hashes(sample):
            near = (p for piece in hash_bands(value) for p in self.pages.get(piece, ()))
            if any(distance(value, other) <= NEAR_BITS for other in near):
                return "page"
        # Names and numbers are drawn from small pools: a short pair may recur by chance, and is
        # the same only together with a page or a long run of words.
        for qa in sample.qa:
            if _long_runs(qa.question) & self.runs:
                return "text"
            if len(qa.answer) > 8 and _pair(qa.question, qa.answer) in self.pairs:
                return "question and answer"
        return ""


def load_evaluation_set(path: Path) -> EvaluationSet:
    """Read a folder of images and JSON-lines files with `question`, `answer` (or `answers`).

    Raises:
        DataError: If nothing is there to compare with.
    """
    found = EvaluationSet()
    count = 0
    for file in sorted(path.rglob("*") if path.is_dir() else [path]):
        if file.suffix.lower() in {".png", ".jpg", ".jpeg", ".webp"}:
            with PIL.Image.open(file) as image:
                found.add_page(image)
            count += 1
        elif file.suffix.lower() == ".jsonl":
            for line in file.read_text(encoding="utf-8").splitlines():
                record = json.loads(line)
                answers = record.get("answers") or [record.get("answer", "")]
                for answer in answers:
                    found.add_pair(str(record.get("question", "")), str(answer))
                count += 1
    if not count:
        raise DataError(f"{path}: no images and no .jsonl files with questions to compare with")
    return found


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What a search for duplicates found."""

    num_samples: int
    """Samples that were compared."""
    drops: dict[str, str]
    """Samples to drop -> the sample each repeats."""
    num_exact: int
    """Those of them that have the same pages and texts byte for byte."""


def duplicates_in(folder: Path) -> Duplicates:
    """Duplicates over all shards of a folder; see `find_duplicates`.

    Texts are compared first: pages are drawn of those samples only whose texts may repeat.
    """
    ids: list[str] = []
    exact: dict[str, bytes] = {}
    keys: list[list[int]] = []
    for sample in iter_samples(folder):
        ids.append(sample.id)
        exact[sample.id] = _fingerprint(sample)
        keys.append([hash((key, len(sample.images))) for key in bands(sign_talk(sample))])
    _, group, sizes = np.unique(np.array(keys), return_inverse=True, return_counts=True)
    is_alike = np.asarray((sizes[group].reshape(-1, BANDS) > 1).any(axis=1)).tolist()
    alike = {name for name, repeats in zip(ids, is_alike, strict=True) if repeats}
    drops = find_duplicates([sign(sample) for sample in pixel_samples(folder, alike)])
    num_exact = sum(exact[name] == exact[kept] for name, kept in drops.items())
    return Duplicates(len(ids), drops, num_exact)


def _fingerprint(sample: Sample) -> bytes:
    """Hash of texts and pages; the same only if all of them are."""
    found = hashlib.blake2b(_talk(sample).encode(), digest_size=16)
    for image in sample.images:
        if isinstance(image, PixelImage):
            found.update(hashlib.blake2b(image.data).digest())
        else:
            found.update(repr(image).encode())
    return found.digest()


def contaminated_in(folder: Path, evaluation: EvaluationSet) -> dict[str, str]:
    """Samples of a folder that repeat an evaluation set -> what they repeat."""
    leaks = ((sample.id, evaluation.leak(sample)) for sample in pixel_samples(folder))
    return {name: reason for name, reason in leaks if reason}


def write_drops(folder: Path, stage: str, drops: Mapping[str, str]) -> Path:
    """Write the drop list of a stage: sample id -> reason."""
    path = folder / f"{DROP_PREFIX}{stage}.json"
    write_text_atomically(path, json.dumps(dict(sorted(drops.items())), indent=0) + "\n")
    return path


def read_drops(folder: Path) -> dict[str, str]:
    """All drop lists of a folder, joined."""
    drops: dict[str, str] = {}
    for path in sorted(folder.glob(f"{DROP_PREFIX}*.json")):
        drops |= json.loads(path.read_text(encoding="utf-8"))
    return drops


@dataclass(frozen=True, slots=True)
class Baselines:
    """How much can be answered without looking; shares from 0 to 1."""

    majority: float
    """Always the most frequent answer of the question's family."""
    question_only: float
    """The most frequent answer to the same question skeleton among other documents."""
    num_questions: int


def blind_baselines(samples: Iterable[Sample]) -> Baselines:
    """Train on half of the documents, test on the other: exact answers without any image."""
    by_family: dict[str, Counter[str]] = defaultdict(Counter)
    by_skeleton: dict[str, Counter[str]] = defaultdict(Counter)
    held: list[tuple[str, str, str]] = []
    for sample in samples:
        is_held = share("blind", sample.doc_id) < 0.5
        for qa in sample.qa:
            if is_held:
                held.append((qa.family, skeleton(qa.question), qa.answer))
            else:
                by_family[qa.family][qa.answer] += 1
                by_skeleton[skeleton(qa.question)][qa.answer] += 1
    majority = asked = 0
    for family, shape, answer in held:
        usual = by_family[family].most_common(1)
        majority += bool(usual) and usual[0][0] == answer
        likely = by_skeleton[shape].most_common(1) or usual
        asked += bool(likely) and likely[0][0] == answer
    count = max(1, len(held))
    return Baselines(majority / count, asked / count, len(held))


def skeleton(question: str) -> str:
    """A question with numbers and names masked."""
    masked = re.sub(r"\d[\d.,:/-]*", "0", question)
    return re.sub(r"(?<=\s)[A-Z]\w*(?:\s[A-Z]\w*)*", "X", masked).casefold()


def _long_runs(text: str) -> set[str]:
    runs = shingles(text, OVERLAP_WORDS)
    return {run for run in runs if run.count(" ") >= OVERLAP_WORDS - 1}


def _pair(question: str, answer: str) -> tuple[str, str]:
    return question.casefold().strip(), answer.casefold().strip()


def _talk(sample: Sample) -> str:
    asked = " ".join(f"{qa.question} {qa.answer}" for qa in sample.qa)
    return asked or " ".join(tagged(message) for message in sample.messages)
