"""Counts and times for Prometheus; no content, no names of files or people."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from leopard.schema.generation import Usage

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Metrics:
    """All metrics of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.responses = Counter(
            "leopard_http_responses",
            "Answers by path and status.",
            ("path", "status"),
            registry=self._registry,
        )
        self.tokens = Counter(
            "leopard_tokens", "Tokens of finished answers.", ("kind",), registry=self._registry
        )
        self.chats = Counter(
            "leopard_chats", "Questions by how they ended.", ("end",), registry=self._registry
        )
        self.first_text_s = Histogram(
            "leopard_first_text_seconds",
            "Seconds from the request to the first text.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.total_s = Histogram(
            "leopard_chat_seconds",
            "Seconds from the request to the end of the answer.",
            buckets=_SECONDS,
            registry=self._registry,
        )

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a gauge that is read when the metrics are."""
        Gauge(name, text, registry=self._registry).set_function(value)

    def count_usage(self, usage: Usage) -> None:
        """Count the tokens of a finished answer."""
        self.tokens.labels("prompt").inc(usage.prompt_tokens)
        self.tokens.labels("visual").inc(usage.visual_tokens)
        self.tokens.labels("completion").inc(usage.completion_tokens)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)
