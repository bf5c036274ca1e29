"""What is annotated, by which model, and what it may cost.

Prices have no defaults: a cap on money means nothing without them. Knows nothing of requests.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import Field, model_validator

from leopard.config import Settings
from leopard.schema.rows import canonical_json

ANNOTATOR_VERSION = 1
"""Part of every content hash: raised when prompts or checks change."""
JobName = Literal["paraphrase", "rationale", "questions", "judge"]
JOB_ORDER: tuple[JobName, ...] = ("paraphrase", "rationale", "questions", "judge")
"""The order in which jobs are done, whatever the order in the settings."""


class EndpointSettings(Settings):
    """A model behind an OpenAI-compatible server."""

    base_url: str = Field(pattern=r"^https?://")
    """Address up to and with `/v1`."""
    model: str = Field(min_length=1)
    """Name of the model, as the server knows it."""
    input_usd_per_million: float = Field(ge=0)
    """Price of a million tokens sent, in US dollars; 0 for a server of one's own."""
    output_usd_per_million: float = Field(ge=0)
    """Price of a million tokens received, in US dollars."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; servers without keys need none."""
    temperature: float | None = Field(default=0.7, ge=0, le=2)
    """None leaves it to the server, as some reasoning models demand."""
    max_output_tokens: int = Field(default=1024, ge=16)
    """Longest answer, reasoning of the model included; part of the reserved cost."""
    output_limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the server calls that limit."""
    image_tokens: int = Field(default=4096, ge=1)
    """Most tokens that the server counts for one image; part of the reserved cost."""
    json_mode: Literal["schema", "object", "prompt"] = "schema"
    """How JSON is asked for: by schema, as any object, or by the prompt alone."""
    timeout_s: float = Field(default=300.0, gt=0)
    """Longest wait for one answer, in seconds."""


class PaceSettings(Settings):
    """How fast the server is asked, and how patiently."""

    concurrency: int = Field(default=16, ge=1, le=512)
    """Most requests in flight per process; halved when the server says it is too many."""
    tries: int = Field(default=6, ge=1)
    """Most tries of one request after failures that may pass."""
    pause_s: float = Field(default=1.0, ge=0)
    """Pause after the first failure, in seconds; doubles each time, a fifth of it at random."""
    longest_pause_s: float = Field(default=60.0, ge=0)
    """Longest pause, in seconds, also if the server asks for more."""
    asks: int = Field(default=3, ge=1)
    """Most times one question is asked when answers are not in the form that was asked for."""


class ParaphraseSettings(Settings):
    """Rewording of questions."""

    check_meaning: bool = True
    """Ask in a second request whether both wordings ask for the same."""


class RationaleSettings(Settings):
    """Reasoning towards known answers."""

    replace: bool = False
    """Also replace reasoning that is there."""
    max_characters: int = Field(default=1500, ge=1)


class QuestionSettings(Settings):
    """Free questions, each with a program."""

    per_sample: int = Field(default=2, ge=1, le=20)
    """Questions asked for."""
    max_answer: int = Field(default=200, ge=1)
    """Longest answer, in characters."""


class JudgeSettings(Settings):
    """Verdicts of a model on questions and answers."""

    scope: Literal["annotated", "all"] = "annotated"
    """Judge what was annotated here, or every question."""
    threshold: float = Field(default=3.5, ge=1, le=5)
    """Least weighted rating that is kept."""


class AnnotateSettings(Settings):
    """One annotation of one set."""

    jobs: tuple[JobName, ...] = Field(min_length=1)
    cap_usd: float = Field(ge=0)
    """Most money spent in all on this set, in US dollars, runs before included."""
    annotator: EndpointSettings
    judge_model: EndpointSettings | None = None
    """Needed by the judge; another family of models than the annotator."""
    pages: Literal["text", "images"] = "text"
    """How pages are shown: as text where they have some, or always as images."""
    max_image_side: int = Field(default=1600, ge=64)
    """Longer side of a page shown as image, in pixels, at most."""
    pace: PaceSettings = PaceSettings()
    paraphrase: ParaphraseSettings = ParaphraseSettings()
    rationale: RationaleSettings = RationaleSettings()
    questions: QuestionSettings = QuestionSettings()
    judge: JudgeSettings = JudgeSettings()

    @model_validator(mode="after")
    def _consistent(self) -> AnnotateSettings:
        if len(set(self.jobs)) < len(self.jobs):
            raise ValueError("a job is named twice")
        if "judge" in self.jobs and self.judge_model is None:
            raise ValueError("the job judge needs a table [judge_model]")
        return self

    @property
    def content_hash(self) -> str:
        """Hash of all that decides the rows, 16 hex digits; money and patience play no part."""
        who = {"model", "temperature", "max_output_tokens", "json_mode"}
        plain = self.model_dump(
            mode="json",
            include={
                "jobs": True, "pages": True, "max_image_side": True, "paraphrase": True,
                "rationale": True, "questions": True, "judge": True, "annotator": who,
                "judge_model": who, "pace": {"asks"},
            },
        )  # fmt: skip
        plain["jobs"] = sorted(plain["jobs"])
        text = canonical_json({"version": ANNOTATOR_VERSION, **plain})
        return hashlib.sha256(text.encode()).hexdigest()[:16]
