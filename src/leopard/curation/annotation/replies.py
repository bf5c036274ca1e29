"""Answers in the form that was asked for: JSON of a schema, or prose with JSON in its last line.

An answer in another form is asked for again with another seed; all of them are paid and cached.
Knows nothing of what answers mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from leopard.curation.annotation.client import Client, RefusedError
from leopard.curation.annotation.ledger import PaidAnswer
from leopard.curation.annotation.requests import ChatRequest
from leopard.schema.rows import canonical_json

FormT = TypeVar("FormT", bound="Form")
MAX_JSON_DEPTH = 24


class Form(BaseModel):
    """Base of the forms that are asked for: all fields, no others."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FormError(Exception):
    """An answer is not in the form that was asked for; the text says in what way."""


@dataclass(frozen=True, slots=True)
class Reply(Generic[FormT]):
    """A filled form with the requests that led to it."""

    form: FormT
    prose: str
    """Text before the form."""
    note: dict[str, Any]
    """Where it came from, for the sample's provenance."""


async def ask_form(
    client: Client, request: ChatRequest, form: type[FormT], asks: int, *, prose: bool = False
) -> Reply[FormT]:
    """Ask until an answer is in the form, at most `asks` times.

    Args:
        client: Asks.
        request: Without a schema; that of the form is put in, unless prose is wanted.
        form: What is to be filled in.
        asks: Most times to ask.
        prose: Whether text comes first and the form in the last line.

    Raises:
        FormError: If no answer was in the form; says what was wrong with the last.
    """
    parse: Callable[[str], tuple[str, Any]] = split_prose if prose else parse_alone
    schema = None if prose else form.model_json_schema()
    wanted = replace(request, schema=schema, schema_name=form.__name__)
    cost = tokens = 0
    for attempt in range(asks):
        asked = replace(wanted, seed=request.seed + attempt)
        try:
            paid = await client.ask(asked)
        except RefusedError as error:
            raise FormError(f"the server refuses it ({error})") from error
        cost, tokens = cost + paid.nano_usd, tokens + paid.input_tokens + paid.output_tokens
        try:
            text, record = _whole(paid, parse)
            filled = form.model_validate(record)
        except ValidationError:
            problem = "the answer lacks fields or has others"
        except FormError as error:
            problem = str(error)
        else:
            note = {"key": asked.key, "model": paid.model, "host": paid.host,
                    "tokens": tokens, "nano_usd": cost}  # fmt: skip
            return Reply(filled, text, note)
    raise FormError(problem)


def parse_alone(text: str) -> tuple[str, Any]:
    """The JSON that a text is, with or without a code fence."""
    fenced = re.fullmatch(r"\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*", text, re.S)
    return "", _json(fenced[1] if fenced else text)


def split_prose(text: str) -> tuple[str, Any]:
    """Prose, and the JSON in its last line."""
    prose, _, last = text.strip().removesuffix("```").rstrip().rpartition("\n")
    prose = prose.strip()
    if prose.endswith(("```json", "```")):
        prose = prose.removesuffix("```json").removesuffix("```").strip()
    return prose, _json(last)


def _whole(paid: PaidAnswer, parse: Callable[[str], tuple[str, Any]]) -> tuple[str, Any]:
    if paid.finish_reason != "stop":
        raise FormError(f"the answer ended by {paid.finish_reason}")
    return parse(paid.text)


def _json(text: str) -> Any:
    depth = deepest = 0
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        deepest = max(deepest, depth)
    if deepest > MAX_JSON_DEPTH:
        raise FormError("the answer is nested too deeply")
    try:
        record = json.loads(text)
        canonical_json(record).encode()  # half a surrogate pair is no text
        return record
    except ValueError as error:
        raise FormError("the answer is no JSON") from error
