"""Prometheus metrics of one server, in a registry of its own."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 600.0)


class Metrics:
    """The metrics; labels take few values, and no text of users."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "diffagent_requests", "Requests by endpoint, method and status.",
            ("endpoint", "method", "status"), registry=registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "diffagent_request_seconds", "Time to the end of an answer.",
            ("endpoint",), buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.stages = Histogram(
            "diffagent_stage_seconds", "Time in a stage: queue, prefilter, llm, emit, target, identify.",
            ("stage",), buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.active = Gauge(
            "diffagent_requests_active", "Requests that are being answered.", registry=registry
        )
        self.waiting = Gauge(
            "diffagent_queue_waiting", "Requests that wait for the agent.", registry=registry
        )
        self.limit = Gauge("diffagent_queue_limit", "Requests that may wait.", registry=registry)
        self.batches = Histogram(
            "diffagent_batch_size", "Requests that were taken at once.",
            buckets=(1, 2, 4, 8, 16, 32, 64), registry=registry,
        )  # fmt: skip
        self.tokens = Counter(
            "diffagent_tokens", "Tokens of prompts and calls, where the engine counts them.",
            ("kind",), registry=registry,
        )  # fmt: skip
        self.candidates = Histogram(
            "diffagent_candidates", "Models that a call was chosen among.",
            buckets=(1, 2, 4, 8, 16, 32, 52), registry=registry,
        )  # fmt: skip
        self.target_errors = Counter(
            "diffagent_target_errors", "Images that a target did not deliver.",
            ("target", "kind"), registry=registry,
        )  # fmt: skip

    def stage(self, name: str, seconds: float) -> None:
        self.stages.labels(name).observe(seconds)

    def observe_decision(self, waited: float, timings_ms: Mapping[str, float], candidates: int) -> None:
        """Observe one decision; ``waited`` is in seconds."""
        self.stage("queue", waited)
        for name in ("prefilter", "llm"):
            if name in timings_ms:
                self.stage(name, timings_ms[name] / 1e3)
        self.candidates.observe(candidates)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
