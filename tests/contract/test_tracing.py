"""Spans are made of sampled entries only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest

from gesture_maze.producer import Frame, FrameProducer, tracing
from gesture_maze.wire.decode import decode
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.keys import frames_key, partition_of
from gesture_maze.worker.batch import Batch
from gesture_maze.worker.decode import decode as decode_batch
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.records import Grant, Read
from gesture_maze.worker.serving.serving import Serving
from gesture_maze.worker.tracing import MOST_PER_BATCH, Tracing, open_tracing
from tests.support.pool import HandWorker, WristModel, hand, sessions_of
from tests.support.servers import absent

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{SPAN}-01"
LANDMARKS = [b"s", b"p", b"m", b"", b"l", b""]


@pytest.fixture
def spans() -> Iterator[Any]:
    """An exporter that keeps spans in memory, and a `Tracing` that exports to it."""
    try:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    except ImportError:
        absent("opentelemetry-sdk")
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter, Tracing(provider.get_tracer("test"), "worker-1")
    provider.shutdown()


def record(made: Tracing, *traceparents: str | None) -> None:
    """Record a batch of entries 1-0, 1-1, ... of partition 3 with these traceparents."""
    fields = [LANDMARKS + ([b"traceparent", one.encode()] if one else []) for one in traceparents]
    read = Read(3, [f"1-{number}".encode() for number in range(len(fields))], fields)
    serving = Serving.of(WristModel(), 0.7, {})
    batch = Batch.of([(Partition(Grant(3, "w:1", b"0-0", 0), 4), read)], serving, None)
    decode_batch(batch, b"w")
    made.record(batch, batch.parts)


def test_sampled_entry_becomes_a_child_of_its_producer_span(spans: Any) -> None:
    exporter, made = spans
    record(made, None, SAMPLED, None)
    process, receive = exporter.get_finished_spans()
    assert process.name == "process frames:{p}"
    assert format(process.context.trace_id, "032x") == TRACE
    assert format(process.parent.span_id, "016x") == SPAN
    assert process.attributes["messaging.message.id"] == "1-1"
    assert process.attributes["messaging.destination.name"] == "frames:{3}"
    assert process.attributes["messaging.system"] == "redis"
    assert receive.name == "receive frames:{p}"
    assert receive.attributes["messaging.batch.message_count"] == 3
    assert [format(link.context.span_id, "016x") for link in receive.links] == [SPAN]
    assert process.end_time >= process.start_time


@pytest.mark.parametrize(
    "traceparent", [None, f"00-{TRACE}-{SPAN}-00", "00-xyz", "", f"01-{TRACE}-{SPAN}-01"]
)
def test_traceparent_unsampled_or_malformed_makes_no_span(spans: Any, traceparent: str | None) -> None:
    exporter, made = spans
    record(made, traceparent)
    assert exporter.get_finished_spans() == ()


def test_spans_of_a_batch_are_limited(spans: Any) -> None:
    exporter, made = spans
    record(made, *[SAMPLED] * 1000)
    assert len(exporter.get_finished_spans()) == MOST_PER_BATCH + 1


def test_traceparent_field_is_sent_and_ignored_by_the_decoder() -> None:
    client = fakeredis.FakeRedis(version=(7,))
    tracing.carry(lambda: SAMPLED)
    try:
        FrameProducer(client, partitions=4).send(Frame("p1", 1, 5, None))
    finally:
        tracing.carry(None)
    key = frames_key(partition_of("p1", 4))
    ((_, named),) = client.xrange(key)
    assert named[b"traceparent"] == SAMPLED.encode()
    frames, rejects = decode([[part for pair in named.items() for part in pair]])
    assert (len(frames), rejects) == (1, [])
    client.close()


def test_tracing_without_an_exporter_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_TRACES_EXPORTER", raising=False)
    assert open_tracing("w") is None
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    assert open_tracing("w") is None


def test_tracing_with_an_unknown_exporter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "carrier-pigeon")
    with pytest.raises(SettingsError, match="carrier-pigeon"):
        open_tracing("w")


def test_tracing_without_the_extra_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match=r"whl\[tracing\]"):
        open_tracing("w")


def test_worker_without_tracing_answers_traced_frames() -> None:
    client = fakeredis.FakeRedis(version=(7,))
    worker = HandWorker(client)
    worker.join()
    tracing.carry(lambda: SAMPLED)
    try:
        with FrameProducer(client, partitions=4) as producer:
            producer.send(hand(sessions_of(1, 1)[0], 1))
    finally:
        tracing.carry(None)
    worker.work()
    assert client.hget("outcomes:{1}", "answered") == b"1"
    HandWorker.close_all()
    client.close()
