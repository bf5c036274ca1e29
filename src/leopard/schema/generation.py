"""What asks for text and what comes back: the seam between models and everything that uses them.

Evaluation, serving and curation are given a `Generator` by the command line; they never import a
model. Knows nothing of torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from leopard.errors import ConfigError
from leopard.schema.messages import Message

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingOptions:
    """How the next token is chosen. The default is greedy."""

    max_new_tokens: int = 128
    """Most tokens to generate."""
    temperature: float = 0.0
    """0 is greedy; otherwise the logits are divided by it before sampling."""
    top_p: float = 1.0
    """Smallest set of tokens whose probability reaches `top_p` is sampled from."""
    top_k: int = 0
    """Sample from the `top_k` likeliest tokens only; 0 means all."""
    seed: int = 0
    """Seed of the sampler; the same request with the same seed gives the same text."""
    stop: tuple[str, ...] = ()
    """Texts that end the answer; they are not part of it."""

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens is {self.max_new_tokens}; it must be at least 1")
        if self.temperature < 0:
            raise ConfigError(f"temperature is {self.temperature}; it must be 0 or more")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p is {self.top_p}; it must be above 0 and at most 1")
        if self.top_k < 0:
            raise ConfigError(f"top_k is {self.top_k}; it must be 0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationRequest:
    """One conversation to be continued, with its images in prompt order."""

    messages: tuple[Message, ...]
    images: tuple[Image, ...] = ()
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    image_names: tuple[str, ...] = ()
    """A name for each image's content, where the caller knows one: equal names promise equal
    pixels, so that an engine need not look again. Empty when unknown."""

    def __post_init__(self) -> None:
        assert len(self.image_names) in (0, len(self.images)), "one name for each image"


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens and crops that a request took."""

    prompt_tokens: int
    """Prompt positions after expansion, visual tokens included."""
    visual_tokens: int
    """Positions taken by images."""
    crops: int
    """Encoder inputs: thumbnails and tiles."""
    completion_tokens: int
    """Generated tokens, the stop token included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timings:
    """Seconds spent on one request."""

    preprocess_s: float = 0.0
    """Pages to crops and prompt."""
    vision_s: float = 0.0
    """Crops to visual tokens."""
    first_token_s: float = 0.0
    """Prompt to first token, after vision."""
    decode_s: float = 0.0
    """All tokens after the first."""

    @property
    def total_s(self) -> float:
        """Sum of all parts."""
        return self.preprocess_s + self.vision_s + self.first_token_s + self.decode_s


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """The continuation of one request."""

    text: str
    finish_reason: str
    """`stop` at a stop token or stop text, `length` at the token limit."""
    usage: Usage
    timings: Timings


class Generator(Protocol):
    """Continues conversations. Local models, servers, replays and fakes all look like this."""

    @property
    def name(self) -> str:
        """Name of the model, for logs and answers."""
        ...

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Continue several conversations; results in request order."""
        ...

    def stream(self, request: GenerationRequest) -> Iterator[str]:
        """Continue one conversation, yielding text as it comes."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """What one step of a batch brought for one of its requests."""

    key: str
    """Name that the request joined with."""
    text: str = ""
    """Text that became certain in this step."""
    generation: Generation | None = None
    """The whole answer, when this step ended it."""
    error: Exception | None = None
    """What kept the request from being answered; its neighbours are not concerned."""

    @property
    def is_last(self) -> bool:
        """Whether nothing more comes for this request."""
        return self.generation is not None or self.error is not None


class RunningBatch(Protocol):
    """Conversations continued together; they join and leave while others run.

    For one thread. What a request answers does not depend on its neighbours.
    """

    @property
    def capacity(self) -> int:
        """Most requests at a time."""
        ...

    def __len__(self) -> int:
        """Requests that are not finished."""
        ...

    def join(self, key: str, request: GenerationRequest) -> None:
        """Add a request; its errors come with `step`.

        Args:
            key: A name that no unfinished request of the batch has.
            request: What to answer.
        """
        ...

    def leave(self, key: str) -> None:
        """Give a request up; unknown names are ignored, since it may just have finished."""
        ...

    def step(self) -> list[Progress]:
        """Do a small piece of work: at most one chunk of crops and one token of each request."""
        ...


class BatchGenerator(Protocol):
    """A generator that keeps a running batch; what a server needs."""

    @property
    def name(self) -> str:
        """Name of the model, for logs and answers."""
        ...

    def open_batch(self) -> RunningBatch:
        """A new, empty batch; one at a time."""
        ...
