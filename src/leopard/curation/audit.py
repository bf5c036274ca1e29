"""Random samples for people to look at, and their verdicts on the card.

Knows nothing of what makes a sample good; people do.
"""

from __future__ import annotations

import json
from pathlib import Path

from leopard.curation.card import AUDIT_FILE, wilson
from leopard.curation.exports import pixel_samples
from leopard.curation.randomness import share
from leopard.curation.viewer import write_page
from leopard.errors import DataError
from leopard.schema.files import write_text_atomically
from leopard.schema.shards import iter_samples


def write_audit(folder: Path, target: Path, count: int) -> int:
    """Write random samples as a page to look through; the same samples every time."""
    ids = sorted((sample.id for sample in iter_samples(folder)), key=lambda i: share("audit", i))
    chosen = set(ids[:count])
    return write_page(pixel_samples(folder, chosen), target, f"Audit of {folder.name}")


def record_verdicts(folder: Path, verdicts: Path) -> str:
    """Store how many looked-at samples were rejected; returns the error rate as a sentence.

    A verdict is a line of JSON with `id`, `verdict` (`accept` or `reject`) and, if wanted, a `note`
    that goes on the card.

    Raises:
        DataError: If a line is no verdict.
    """
    found: dict[str, str] = {}
    notes: list[str] = []
    for number, line in enumerate(verdicts.read_text(encoding="utf-8").splitlines(), 1):
        try:
            record = json.loads(line)
            found[record["id"]] = record["verdict"]
            if record.get("note"):
                notes.append(f"{record['id']}, {record['verdict']}: {record['note']}")
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{verdicts}, line {number}: not a verdict ({error}); use the file that the "
                "viewer's button saves"
            ) from error
    errors = sum(verdict == "reject" for verdict in found.values())
    summary = {"looked_at": len(found), "errors": errors, "notes": notes}
    write_text_atomically(folder / AUDIT_FILE, json.dumps(summary) + "\n")
    low, high = wilson(errors, len(found))
    return f"{errors} of {len(found)} samples rejected, error rate {low:.1%} to {high:.1%}"
