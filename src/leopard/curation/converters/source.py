"""What a converter is: where a source comes from and how its records become drafts.

Knows nothing of any single source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from leopard.curation.converters.drafts import Draft, Picture
from leopard.curation.converters.local_copy import LocalCopy, Record
from leopard.curation.imports import BadRecordError
from leopard.curation.randomness import stream
from leopard.schema.samples import Domain, QuestionAnswer, Split


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One pass over a local copy."""

    source: str
    """Name of the converter."""
    copy: LocalCopy
    split: Split = "train"
    seed: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    """What was left out: reason -> count."""

    def reject(self, reason: str, count: int = 1) -> None:
        """Count what is left out."""
        if count:
            self.rejects[reason] += count

    def about(
        self,
        identity: str,
        pictures: Sequence[Picture],
        questions: Iterable[Record],
        read: Callable[[Record], QuestionAnswer],
        note: Mapping[str, str] | None = None,
    ) -> Draft:
        """Pictures with all questions about them; a bad one does not take the others with it.

        Args:
            identity: Name of the sample and of its document.
            pictures: In order.
            questions: As published.
            read: What a question becomes; raises BadRecordError with a reason.
            note: Goes with the sample.
        """
        found = []
        for question in questions:
            try:
                found.append(read(question))
            except BadRecordError as error:
                self.reject(str(error))
        return Draft(
            id=identity,
            doc_id=identity,
            pictures=tuple(pictures),
            qa=tuple(found),
            split=self.split,
            note=note or {},
        )

    def stream(self, *parts: object) -> Random:
        """A random stream that hangs on the seed, the source and these names alone."""
        return stream("convert", self.seed, self.source, *parts)

    def splits(self, **names: str) -> str:
        """The name that a source gives to the wanted split; the split's own name by default."""
        return names.get(self.split, self.split)


@dataclass(frozen=True, kw_only=True, slots=True)
class Converter:
    """One source of the paper's Table 8."""

    name: str
    title: str
    domain: Domain
    records: Callable[[Reading], Iterable[Record]]
    """Records of the wanted split, as published; grouped where several share a picture."""
    drafts: Callable[[Record, Reading], Iterator[Draft]]
    """What one record becomes; raises BadRecordError with a reason if it can become nothing."""
    licence: str
    """SPDX id, or `LicenseRef-...` for terms of their own."""
    terms: str = ""
    """What the licence id does not say."""
    citation: str
    where: str
    """Where to get it."""
    expects: str
    """Files that the folder must hold."""
    paper_samples: int
    """Samples in the paper's Table 8."""
    assemble: tuple[int, int] | None = None
    """Least and most images of a sample put together from several records, or None."""
    max_turns: int = 10
    """Most questions about one picture or document; the rest is counted."""
    verified: bool = True
    """Whether the layout was checked against published code or documentation."""
