"""Recordings of a real system: complete, without side effects, across a restart, ended by a signal."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gesture_maze.capture.reader import CaptureReader, Line
from gesture_maze.capture.recorder import Names, Recorder
from gesture_maze.capture.stream import CaptureStream
from gesture_maze.capture.writer import CaptureWriter
from gesture_maze.embedded.ports import free_port
from gesture_maze.producer import FrameProducer
from gesture_maze.wire import keys
from gesture_maze.wire.decode import decode
from gesture_maze.wire.frames import HAND, LEFT, Frame
from tests.support.captures import synthetic, with_replies
from tests.support.children import child
from tests.support.processes import PARTITIONS, ROOT, Traffic, Workers
from tests.support.servers import Server, absent, connected, wait_until

pytestmark = pytest.mark.slow

LANDMARKS = np.random.default_rng(0).random((20, 21, 3), np.float32)


class Recording:
    """A recorder in its own thread."""

    def __init__(self, url: str, out: Path, pattern: str | None = None, **options: bool) -> None:
        self._stop = threading.Event()
        self.writer = CaptureWriter(out)
        names = Names(pattern, anonymise=options.pop("anonymise", False))
        self._stream = CaptureStream(url)
        self.recorder = Recorder(self._stream, self.writer, names, **options)
        self._thread = threading.Thread(target=self.recorder.run, args=(self._stop,))

    def __enter__(self) -> Recording:
        self.recorder.step()  # find the ends of the streams before anything is sent
        self._thread.start()
        return self

    def wait(self, frames: int) -> None:
        wait_until(lambda: self.writer.frames >= frames, 10)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._stream.close()
        self.writer.close()


def send(producer: FrameProducer, seqs: range, sessions: int = 20, reply_to: str = "") -> None:
    names = [f"{'team' if number % 2 else 'other'}-{number}" for number in range(sessions)]
    flags = np.where(np.arange(sessions) % 3, HAND, HAND | LEFT)
    for seq in seqs:
        producer.send_arrays(
            names, np.full(sessions, seq), 1000 + seq, LANDMARKS[:sessions], aspect=4 / 3, flags=flags,
            reply_to=reply_to,
        )  # fmt: skip


def entries(server: Server, partition: int) -> list[tuple[str, str, int]]:
    """Return partition, session and seq of every frame on a stream."""
    found = server.client.xrange(keys.frames_key(partition))
    frames, _ = decode([[part for pair in fields.items() for part in pair] for _, fields in found])
    return [
        (str(partition), raw.decode(), int(seq)) for raw, seq in zip(frames.sessions, frames.seq, strict=True)
    ]


def lines(path: Path) -> list[Line]:
    with CaptureReader(path) as reader:
        return list(reader.frames())


@pytest.fixture
def producer(server: Server) -> Iterator[FrameProducer]:
    with FrameProducer(server.url, partitions=PARTITIONS) as found:
        found.connect()
        yield found


def test_recording_contains_every_frame_after_its_start(
    server: Server, producer: FrameProducer, tmp_path: Path
) -> None:
    send(producer, range(5))
    with Recording(server.url, tmp_path / "a.jsonl.gz") as recording:
        send(producer, range(5, 60))
        text = {"session": "text", "seq": 1, "t": 5, "landmarks": [[0.5, 0.5]] * 21}
        producer.send(Frame("packed", 1, 2, None))
        server.client.xadd(keys.frames_key(0), {"json": json.dumps({**text, "session": "bad session"})})
        recording.wait(55 * 20 + 1)
    found = lines(tmp_path / "a.jsonl.gz")
    seen = Counter((line.frame.session, line.frame.seq) for line in found)
    assert len(seen) == len(found) == 55 * 20 + 1
    assert recording.recorder.bad_entries == 1
    for line in (one for one in found if one.frame.session != "packed"):
        number = int(line.frame.session.rpartition("-")[2])
        np.testing.assert_array_equal(line.frame.landmarks, LANDMARKS[number])
        assert line.frame.left == (number % 3 == 0)
    offsets = [line.offset_ms for line in found]
    assert offsets[0] == 0
    assert offsets == sorted(offsets)


def test_recording_of_chosen_sessions_has_new_names_and_replies(
    server: Server, workers: Workers, producer: FrameProducer, tmp_path: Path
) -> None:
    workers.start("a")
    out = tmp_path / "a.jsonl"
    with Recording(server.url, out, "team-*", anonymise=True, with_replies=True) as recording:
        for seq in range(30):
            send(producer, range(seq, seq + 1), reply_to="game" if seq % 2 else "")
            time.sleep(0.01)  # spread the frames; the first frame of a session announces it
        recording.wait(30 * 10)
    found = lines(out)
    assert {line.frame.session for line in found} == {f"player-{n}" for n in range(1, 11)}
    assert len({(line.frame.session, line.frame.seq) for line in found}) == len(found) == 300
    replied = [line.values["reply"] for line in found if "reply" in line.values]
    assert len(replied) > 150
    assert {line.frame.seq % 2 for line in found if "reply" in line.values} == {0, 1}
    assert set(replied[0]) == {"gesture", "confidence", "action", "move", "model"}


@contextmanager
def redis_on(port: int, folder: Path) -> Iterator[Any]:
    binary = shutil.which("redis-server") or absent("redis-server")
    words = ["--port", str(port), "--save", "", "--dir", str(folder), "--bind", "127.0.0.1"]
    with child(binary, *words, stdout=subprocess.DEVNULL) as process:
        client = connected(f"redis://127.0.0.1:{port}/0", process)
        yield client
        client.close()


def test_recording_over_a_restart_of_redis_continues(tmp_path: Path) -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    with redis_on(port, tmp_path), FrameProducer(url, partitions=PARTITIONS) as producer:
        producer.connect()
        recording = Recording(url, tmp_path / "a.jsonl.gz").__enter__()
        send(producer, range(10))
        recording.wait(200)
    wait_until(lambda: recording.recorder.reconnects == 1)
    with redis_on(port, tmp_path), FrameProducer(url, partitions=PARTITIONS) as producer:
        send(producer, range(10, 20))
        recording.wait(400)
        recording.__exit__()
    assert [line.frame.seq for line in lines(tmp_path / "a.jsonl.gz") if line.frame.session == "team-1"] == [
        *range(20)
    ]


def test_capture_without_redis_exits_with_the_reason(tmp_path: Path) -> None:
    words = ["capture", "--redis", f"redis://127.0.0.1:{free_port()}/0", "--out", str(tmp_path / "a.jsonl")]
    done = subprocess.run(
        [sys.executable, "-m", "gesture_maze", *words], capture_output=True, text=True, cwd=ROOT, timeout=20
    )
    assert done.returncode == 2
    assert "Connection refused" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_capture_ended_by_a_signal_has_a_complete_file(
    server: Server, producer: FrameProducer, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "a.jsonl.gz"
    words = ["capture", "--redis", server.url, "--out", str(out), "--json"]
    with child(sys.executable, "-m", "gesture_maze", *words, stdout=-1, stderr=-1) as process:
        assert process.stderr is not None
        assert "0 frames" in process.stderr.readline()  # the recorder is running
        send(producer, range(20))
        while "400 frames, 20 sessions" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    facts = json.loads(output)
    assert (facts["frames"], facts["sessions"], facts["bytes"]) == (400, 20, out.stat().st_size)
    assert len(lines(out)) == 400


def test_live_replay_answers_match_a_local_replay(server: Server, workers: Workers, tmp_path: Path) -> None:
    workers.start("a")
    capture = with_replies(synthetic(tmp_path / "a.jsonl", players=6, seconds=4))
    found = {}
    for name, words in {"here": [], "live": ["--redis", server.url, "--speed", "4"]}.items():
        out = tmp_path / name
        command = [sys.executable, "-m", "gesture_maze", "replay", capture, "--out", out, "--json", *words]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=ROOT, timeout=30)
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        found[name] = (summary["answered"], summary["recorded"], out.read_bytes())
    assert found["here"] == found["live"]
    answered, recorded, _ = found["live"]
    assert answered > 600
    assert recorded == {"equal": answered - 1, "different": 0, "first": None}


def replayed(*words: Any) -> dict[str, Any]:
    command = [sys.executable, "-m", "gesture_maze", "replay", *words, "--json"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=ROOT, timeout=40)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_live_replay_by_default_uses_new_session_ids(
    server: Server, workers: Workers, tmp_path: Path
) -> None:
    workers.start("a")
    capture = synthetic(tmp_path / "a.jsonl", players=2, seconds=1)
    for _ in range(2):
        found = replayed(capture, "--redis", server.url)
        assert found["outcomes"]["duplicate"] == 0
        assert found["answered"] == found["frames"] == len(lines(capture))
    sent = {session for p in range(PARTITIONS) for _, session, _ in entries(server, p)}
    assert not sent & {"player-0", "player-1"}


def test_live_replay_with_ids_of_active_sessions_ends_with_a_warning(
    server: Server, workers: Workers, producer: FrameProducer, tmp_path: Path
) -> None:
    workers.start("a")
    capture = synthetic(tmp_path / "a.jsonl", players=2, seconds=2)
    stop = threading.Event()

    def play() -> None:
        for seq in range(10**6, 10**7):
            if stop.wait(0.01):
                return
            producer.send(Frame("player-0", seq, seq, LANDMARKS[0]))

    player = threading.Thread(target=play)
    player.start()
    try:
        words = ["--redis", server.url, "--keep-sessions", "--speed", "2", "--out", tmp_path / "out"]
        command = [sys.executable, "-m", "gesture_maze", "replay", capture, *words]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=ROOT, timeout=40)
    finally:
        stop.set()
        player.join()
    assert done.returncode == 0, done.stderr
    assert "these sessions are in use" in done.stderr
    seqs = [json.loads(line)["seq"] for line in (tmp_path / "out").read_text().splitlines()]
    assert seqs
    assert max(seqs) < 10**6


def test_live_replay_of_copies_has_no_duplicates(server: Server, workers: Workers, tmp_path: Path) -> None:
    workers.start("a")
    capture = synthetic(tmp_path / "a.jsonl", players=2, seconds=2)
    for _ in range(2):  # new session ids each time: nothing is a duplicate
        command = [
            sys.executable,
            "-m",
            "gesture_maze",
            "replay",
            capture,
            "--redis",
            server.url,
            "--copies",
            "20",
        ]
        done = subprocess.run(
            [*map(str, command), "--json"], capture_output=True, text=True, cwd=ROOT, timeout=30
        )
        assert done.returncode == 0, done.stderr
        facts = json.loads(done.stdout)
        assert facts["outcomes"]["duplicate"] == 0
        assert facts["frames"] == sum(facts["outcomes"].values()) == 20 * len(lines(capture))


def test_recorded_pool_answers_every_frame(server: Server, workers: Workers, tmp_path: Path) -> None:
    workers.start("a")
    with Recording(server.url, tmp_path / "a.jsonl.gz"), Traffic(server.url) as traffic:
        traffic.wait_for_answers(400)
    traffic.check_once_and_in_order()
    assert not traffic.unanswered()
    recorded = {(line.frame.session, line.frame.seq) for line in lines(tmp_path / "a.jsonl.gz")}
    assert recorded == traffic.accepted
