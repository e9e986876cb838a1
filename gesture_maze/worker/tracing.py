"""OpenTelemetry spans of sampled frames, following the messaging conventions. Off by default, and then not
imported.

OTEL_TRACES_EXPORTER=otlp (or console) turns it on; it needs the extra `tracing`. An entry is traced if its
producer added a sampled W3C `traceparent` to it (see `producer.tracing`), so the producer decides about
sampling. Batches without such an entry cost one comparison.

Spans, as in semantic conventions 1.44: `receive frames:{p}` for the batch, with a link to every sampled
message, and for each of these `process frames:{p}`, a child of the producer's span. They begin when the
entries arrived and end when the commit was sent.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from gesture_maze.version import install_hint
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.keys import GROUP, frames_key
from gesture_maze.worker.batch import Batch, Part

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext, Tracer

SERVICE: Final = "gesture-maze-worker"
TEMPLATE: Final = frames_key(0).replace("0", "p")
"""Part of span names. It contains no partition and no session, to keep the cardinality low."""
MOST_PER_BATCH: Final = 32
"""Most message spans per batch, so that a producer that samples every frame cannot slow the worker down."""

_TRACEPARENT: Final = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED: Final = 1


class Tracing:
    """Makes spans of batches.

    Args:
        tracer: of OpenTelemetry.
        worker: our id.
    """

    def __init__(self, tracer: Tracer, worker: str) -> None:
        self._tracer: Final = tracer
        self._common: Final = {
            "messaging.system": "redis",
            "messaging.destination.template": TEMPLATE,
            "messaging.consumer.group.name": GROUP,
            "messaging.client.id": worker,
        }

    def record(self, batch: Batch, parts: Sequence[Part]) -> None:
        """Record the spans of the committed parts of a batch. There are none without sampled messages."""
        assert batch.frames is not None
        traceparent = batch.frames.traceparent
        if not traceparent:
            return
        messages = [
            (part.partition.number, entry_id, context)
            for part in parts
            for entry, entry_id in enumerate(part.ids, part.first)
            if entry in traceparent
            for context in _contexts(traceparent[entry])
        ][:MOST_PER_BATCH]
        if messages:
            self._record(batch, sum(len(part.ids) for part in parts), messages)

    def _record(self, batch: Batch, entries: int, messages: Sequence[tuple[int, bytes, SpanContext]]) -> None:
        from opentelemetry.trace import Link, NonRecordingSpan, SpanKind, set_span_in_context

        end_ns = time.time_ns()
        received = self._tracer.start_span(
            f"receive {TEMPLATE}",
            kind=SpanKind.CLIENT,
            links=[Link(context) for _, _, context in messages],
            attributes={
                **self._common,
                "messaging.operation.name": "receive",
                "messaging.operation.type": "receive",
                "messaging.batch.message_count": entries,
            },
            start_time=batch.begun_ns,
        )
        for partition, entry_id, context in messages:
            span = self._tracer.start_span(
                f"process {TEMPLATE}",
                set_span_in_context(NonRecordingSpan(context)),
                kind=SpanKind.CONSUMER,
                links=[Link(received.get_span_context())],
                attributes={
                    **self._common,
                    "messaging.operation.name": "process",
                    "messaging.operation.type": "process",
                    "messaging.destination.name": frames_key(partition),
                    "messaging.destination.partition.id": str(partition),
                    "messaging.message.id": entry_id.decode(),
                },
                start_time=batch.begun_ns,
            )
            span.end(end_ns)
        received.end(end_ns)


def _contexts(traceparent: bytes) -> Iterator[SpanContext]:
    """Yield the producer's span context, if it is well formed and sampled."""
    from opentelemetry.trace import SpanContext, TraceFlags

    found = _TRACEPARENT.fullmatch(traceparent)
    if found and int(found[3], 16) & _SAMPLED:
        yield SpanContext(
            int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=TraceFlags(_SAMPLED)
        )


def open_tracing(worker: str) -> Tracing | None:
    """Return tracing as set by the environment, or None if OTEL_TRACES_EXPORTER is unset or `none`.

    Raises:
        SettingsError: `settings`, if the exporter is unknown or the extra is not installed.
    """
    wanted = os.environ.get("OTEL_TRACES_EXPORTER", "none")
    if wanted == "none" or os.environ.get("OTEL_SDK_DISABLED") == "true":
        return None
    try:
        return Tracing(_tracer(wanted, worker), worker)
    except ModuleNotFoundError as error:
        message = f"OTEL_TRACES_EXPORTER={wanted} needs {error.name}: {install_hint('tracing')}"
        raise SettingsError("settings", message) from None


def _tracer(exporter: str, worker: str) -> Tracer:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    to: Any
    if exporter == "console":
        to = ConsoleSpanExporter()
    elif exporter == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        to = OTLPSpanExporter()
    else:
        message = f"OTEL_TRACES_EXPORTER must be otlp, console or none, got {exporter!r}"
        raise SettingsError("settings", message)
    resource = Resource.create({"service.name": SERVICE, "service.instance.id": worker})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(to))
    return provider.get_tracer("gesture-maze")
