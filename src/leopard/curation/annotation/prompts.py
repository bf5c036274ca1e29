"""The texts that models are sent: templates of this package, filled in.

Knows nothing of answers.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from string import Template

from leopard.curation.annotation.requests import ChatRequest, Picture
from leopard.curation.annotation.settings import AnnotateSettings, EndpointSettings
from leopard.curation.annotation.subject import Subject

_SEPARATOR = "\n---\n"


def request_for(endpoint: EndpointSettings, name: str, **parts: str) -> ChatRequest:
    """A request from a template; `$name` in it stands for a part."""
    system, user = _template(name)
    return ChatRequest(
        endpoint=endpoint,
        system=Template(system).safe_substitute(parts),
        user=Template(user).substitute(parts).strip(),
    )


def cool(endpoint: EndpointSettings) -> EndpointSettings:
    """The endpoint for verdicts: at temperature 0, where it can be set."""
    if endpoint.temperature is None:
        return endpoint
    return endpoint.model_copy(update={"temperature": 0.0})


def shown_pages(subject: Subject, settings: AnnotateSettings) -> tuple[str, tuple[Picture, ...]]:
    """The pages of a sample: as text if that is wanted and there, else as images."""
    texts = subject.page_texts if settings.pages == "text" else ()
    if texts:
        return "\n\n".join(f"Page {n}:\n{text}" for n, text in enumerate(texts, 1)), ()
    count = len(subject.sample.images)
    return (f"The {count} images are the pages, in this order." if count > 1 else
            "The image is the page."), subject.pictures  # fmt: skip


@cache
def _template(name: str) -> tuple[str, str]:
    file = resources.files("leopard.curation").joinpath(f"data/annotate/{name}.txt")
    system, _, user = file.read_text("utf-8").partition(_SEPARATOR)
    return system, user
