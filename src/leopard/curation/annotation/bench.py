"""What every job is given: settings, a client, and where to count.

Knows nothing of jobs.
"""

from __future__ import annotations

from dataclasses import dataclass

from leopard.curation.annotation.client import Client
from leopard.curation.annotation.settings import AnnotateSettings
from leopard.curation.annotation.tally import Tally


@dataclass(frozen=True, slots=True)
class Bench:
    """The workplace of the jobs of one unit."""

    settings: AnnotateSettings
    client: Client
    tally: Tally
