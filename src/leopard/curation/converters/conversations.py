"""Records that are conversations about one picture: the LLaVA and Qwen-VL shapes.

Knows nothing of any one source.
"""

from __future__ import annotations

from typing import Any

from leopard.curation.converters.drafts import Draft, whole
from leopard.curation.converters.fields import plain_qa, turns
from leopard.curation.converters.source import Reading
from leopard.curation.imports import BadRecordError


def conversation_draft(
    identity: str, talk: Any, image: str | None, reading: Reading, family: str
) -> Draft:
    """A draft of all turns about one picture.

    Args:
        identity: Name of the record.
        talk: The turns.
        image: Path of the picture, or None if the turns name it.
        reading: The local copy.
        family: What kind of questions these are.

    Raises:
        BadRecordError: If there is not one picture, or the turns do not alternate.
    """
    pairs, named = turns(talk)
    paths = list(dict.fromkeys([image] if image else named))
    if len(paths) != 1:
        raise BadRecordError("no image" if not paths else "more than one image")
    return Draft(
        id=identity,
        doc_id=paths[0].rsplit(".", 1)[0],
        pictures=(reading.copy.picture(*_ends(paths[0])),),
        qa=tuple(plain_qa(q, [a], family=family, evidence=(whole(0),)) for q, a in pairs),
        split=reading.split,
    )


def _ends(path: str) -> list[str]:
    """The path itself and ever shorter ends of it: records name folders of their makers."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return ["/".join(parts[index:]) for index in range(len(parts))]
