"""Everything that one server holds, put together."""

from __future__ import annotations

import time
from dataclasses import dataclass

from leopard.documents import LoadOptions
from leopard.schema.generation import BatchGenerator
from leopard.serving.admission import Admission
from leopard.serving.content import RequestReader
from leopard.serving.errors import ApiError
from leopard.serving.keys import ApiKeys
from leopard.serving.metrics import Metrics
from leopard.serving.pages import PageReader
from leopard.serving.planning import Planner
from leopard.serving.remote import RemoteFetcher
from leopard.serving.settings import ServingSettings
from leopard.serving.store import FileStore
from leopard.serving.worker import EngineWorker

AHEAD = 2
"""Requests read ahead of those in the engine, so that it does not wait for pages."""
_DRAWING = 2
"""Requests of the page for people that are drawn at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedModel:
    """A model and how it wants its pages."""

    generator: BatchGenerator
    load_options: LoadOptions
    planner: Planner


class Service:
    """The parts of a running server.

    Args:
        model: What answers.
        settings: Limits.
        keys: API keys; none means open.
    """

    def __init__(self, model: ServedModel, settings: ServingSettings, keys: ApiKeys) -> None:
        self.model = model
        self.settings = settings
        self.keys = keys
        self.created_at = int(time.time())
        self.metrics = Metrics()
        self.store = FileStore(settings)
        self.pages = PageReader(model.load_options, settings)
        self.fetcher = RemoteFetcher(settings)
        self.reader = RequestReader(settings, self.store, self.pages, self.fetcher)
        self.worker = EngineWorker(model.generator)
        self.admission = Admission(
            max_at_work=self.worker.capacity + AHEAD, max_queue=settings.max_queue
        )
        self.drawing = Admission(max_at_work=_DRAWING, max_queue=settings.max_queue)
        self._add_gauges()

    @property
    def model_name(self) -> str:
        """Name that clients ask for."""
        return self.model.generator.name

    def check_model(self, name: str) -> None:
        """Refuse a name that is not the model's.

        Raises:
            ApiError: 404.
        """
        if name != self.model_name:
            raise ApiError(
                404,
                f"there is no model {name[:100]!r} here; use {self.model_name!r}",
                code="model_not_found",
                param="model",
            )

    def start(self) -> None:
        """Start the engine."""
        self.worker.start()

    def stop_admitting(self) -> None:
        """Refuse further questions; those at work go on."""
        self.admission.is_closed = self.drawing.is_closed = True

    def close(self) -> None:
        """Give everything up and back."""
        self.stop_admitting()
        self.worker.close()
        self.pages.close()
        self.store.close()

    def _add_gauges(self) -> None:
        watch, admission = self.metrics.watch, self.admission
        watch("leopard_running", "Requests in the engine.", lambda: self.worker.num_running)
        watch("leopard_at_work", "Requests admitted.", lambda: admission.num_at_work)
        watch("leopard_waiting", "Requests in the queue.", lambda: admission.num_waiting)
        watch("leopard_files", "Uploaded files.", lambda: len(self.store))
        watch("leopard_file_bytes", "Bytes of uploaded files.", lambda: self.store.num_bytes)
        watch("leopard_page_bytes", "Bytes of pages kept.", lambda: self.pages.num_kept_bytes)
