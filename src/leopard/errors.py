"""Every error a user can meet, one tree.

A message says what was wrong, what was got, what is allowed, and what to do. Our own bugs are
`assert`s and plain Python exceptions, never these.

    LeopardError
    ├── ConfigError            a setting is unknown or has a value outside its range
    ├── GeometryError          a size, grid or crop geometry that cannot exist
    ├── BudgetError            a crop or tile budget cannot be met (for example over 50 images)
    ├── PromptError            messages that do not follow the format
    │   └── PlaceholderMismatchError   placeholders and visual tokens differ in number
    ├── ContextLengthError     the expanded prompt does not fit the context
    ├── CheckpointError        a checkpoint is incomplete, contradicts itself or is of another kind
    ├── DocumentError          a file cannot become pages
    │   ├── DocumentFormatError     damaged, encrypted or of an unknown kind
    │   ├── DocumentLimitError      over a limit of pages, pixels, bytes or seconds
    │   └── HelperMissingError      a helper program or extra is not installed
    ├── GenerationError        a model or a server could not answer
    ├── DataError              samples or shards break their schema
    ├── TrainingError          a run cannot start or go on
    └── EvaluationError        a task, metric or run log is unusable
"""

from __future__ import annotations


class LeopardError(Exception):
    """Base of all errors that a user can cause and mend."""


class ConfigError(LeopardError):
    """A setting is unknown or has a value outside its range."""


class GeometryError(LeopardError):
    """A size, grid or crop geometry that cannot exist."""


class BudgetError(LeopardError):
    """A crop or tile budget cannot be met."""


class PromptError(LeopardError):
    """Messages that do not follow the format."""


class PlaceholderMismatchError(PromptError):
    """Placeholders in the prompt and visual tokens differ in number."""


class ContextLengthError(LeopardError):
    """The prompt, images expanded, does not fit the context."""


class CheckpointError(LeopardError):
    """A checkpoint is incomplete, contradicts itself, or is of another kind."""


class DocumentError(LeopardError):
    """A file cannot become pages.

    Attributes:
        source: The file or URL as the user named it.
        page: Page number counted from 1, or None when the whole file is meant.
        cause: What is wrong, without a full stop.
        remedy: What the user can do, without a full stop.
    """

    def __init__(self, cause: str, *, source: str, remedy: str, page: int | None = None) -> None:
        # A file name may hold line breaks; an error is one line.
        name = "".join(c if c.isprintable() else repr(c)[1:-1] for c in source)
        where = name if page is None else f"{name}, page {page}"
        super().__init__(f"{where}: {cause}; {remedy}")
        self.source = source
        self.page = page
        self.cause = cause
        self.remedy = remedy


class DocumentFormatError(DocumentError):
    """A file is damaged, encrypted or of an unknown kind."""


class DocumentLimitError(DocumentError):
    """A file is over a limit of pages, pixels, bytes or seconds."""


class HelperMissingError(DocumentError):
    """A helper program or an optional extra is not installed."""


class GenerationError(LeopardError):
    """A model or a server could not answer."""


class DataError(LeopardError):
    """Samples or shards break their schema."""


class TrainingError(LeopardError):
    """A training run cannot start or go on."""


class EvaluationError(LeopardError):
    """A task, a metric or a run log is unusable."""
