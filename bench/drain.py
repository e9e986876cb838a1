"""The throughput of one worker on full streams, compared with a loop that only reads and commits.

`python bench/drain.py [--frames 400000] [--frames-per-entry 1 32] [--runs 3]`

Fills 16 partition streams, starts one worker process and times it from its first commit to its last, by the
counters in Redis. The whole path is measured: decoding, duplicate detection, the model, the policy, the JSON
replies, the fenced commit. The baseline only reads the same entries with XREAD and moves the cursor. The
deadline is off, because the entries of a full stream are old. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import redis
from servers import redis_server

from gesture_maze.simulator.players import synthesize
from gesture_maze.wire import keys
from gesture_maze.wire.frames import HAND, META, pack_arrays, pack_compact
from gesture_maze.wire.gestures import GESTURES

PARTITIONS = 16
SESSIONS = 512


def fill(
    client: redis.Redis,
    entries: int,
    frames_per_entry: int,
    *,
    compact: bool = False,
    reply_to: str = "",
    first: int = 0,
) -> None:
    """Write `entries` entries, spread over all partitions, of hands that change about every second.

    Args:
        client: of Redis.
        entries: how many.
        frames_per_entry: frames in each.
        compact: with compact landmarks.
        reply_to: name of the reply channel of all entries; "" for none.
        first: number of the first frame, above those of earlier calls.
    """
    more = ("r", reply_to) if reply_to else ()
    rng = np.random.default_rng(7)
    hands = synthesize(rng.integers(0, len(GESTURES), 4096), rng)
    sessions: list[list[str]] = [[] for _ in range(PARTITIONS)]
    for number in range(SESSIONS):
        name = f"player-{number}"
        sessions[keys.partition_of(name, PARTITIONS)].append(name)
    pipe = client.pipeline(transaction=False)
    seq = first
    for entry in range(entries):
        partition = entry % PARTITIONS
        mine = sessions[partition]
        rows = np.arange(frames_per_entry) + entry // PARTITIONS * frames_per_entry + first // PARTITIONS
        names = [mine[row % len(mine)] for row in rows.tolist()]
        meta = np.empty(frames_per_entry, META)
        meta["seq"] = np.arange(seq, seq + frames_per_entry)
        meta["captured_ms"] = 1_700_000_000_000 + rows // len(mine) * 66
        meta["aspect"], meta["flags"] = 4 / 3, HAND
        seq += frames_per_entry
        shown = hands.landmarks[(rows // 15 + partition) % 4096]
        packed = pack_compact(names, meta, shown) if compact else None
        s, m, landmarks = packed or pack_arrays(names, meta, shown)
        words = ("s", s, "m", m, "c" if packed else "l", landmarks, *more)
        pipe.execute_command("XADD", keys.frames_key(partition), "*", *words)
        if entry % 1000 == 999:
            pipe.execute()
    pipe.execute()


def answered(client: redis.Redis) -> int:
    """Return the number of frames answered so far."""
    pipe = client.pipeline(transaction=False)
    for partition in range(PARTITIONS):
        pipe.hget(keys.outcomes_key(partition), "answered")
    return sum(int(count or 0) for count in pipe.execute())


def time_worker(client: redis.Redis, url: str, frames: int) -> dict[str, float]:
    """Return the frames per second of one worker process, its time to the first commit and its memory."""
    settings = {
        "redis": url, "metrics_port": 0, "deadline_ms": 0, "supersede_ms": 0, "log_level": "error",
    }  # fmt: skip
    begin = time.perf_counter()
    worker = subprocess.Popen([sys.executable, "-m", "gesture_maze.worker", json.dumps(settings), "bench"])
    try:
        marks: list[tuple[float, int]] = []
        while not marks or marks[-1][1] < frames:
            count = answered(client)
            if count:
                marks.append((time.perf_counter(), count))
            if time.perf_counter() - begin > 120:
                raise SystemExit(f"only {count} of {frames} frames were answered in 120 s")
            time.sleep(0.005)
        rss_mb = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[1]) * 4096 / 1e6
    finally:
        worker.terminate()
        worker.wait(10)
    (first_s, first), (last_s, last) = marks[0], marks[-1]
    return {
        "frames_per_s": (last - first) / (last_s - first_s),
        "first_commit_s": first_s - begin,
        "rss_mb": rss_mb,
    }


def time_baseline(client: redis.Redis, frames_per_entry: int) -> float:
    """Return the frames per second of a loop that reads and moves the cursor."""
    positions = {keys.frames_key(p): "0" for p in range(PARTITIONS)}
    for stream in positions:
        client.xgroup_create(stream, "baseline", "0")
    connection = client.connection_pool.get_connection()
    entries = 0
    begin = time.perf_counter()
    while True:
        connection.send_command("XREAD", "COUNT", 128, "STREAMS", *positions, *positions.values())
        reply = connection.read_response(disable_decoding=True)
        if not reply:
            break
        for stream, found in reply.items():
            name = stream.decode()
            positions[name] = found[-1][0]
            entries += len(found)
            connection.send_command("XGROUP", "SETID", name, "baseline", found[-1][0])
        for _ in reply:
            connection.read_response()
    client.connection_pool.release(connection)
    return entries * frames_per_entry / (time.perf_counter() - begin)


def main() -> None:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--frames", type=int, default=400_000)
    options.add_argument("--frames-per-entry", type=int, nargs="+", default=[1, 32])
    options.add_argument("--runs", type=int, default=3)
    chosen = options.parse_args()
    report: dict[str, object] = {"frames": chosen.frames, "partitions": PARTITIONS, "sessions": SESSIONS}
    with redis_server() as url:
        client = redis.Redis.from_url(url, protocol=3)
        for size in chosen.frames_per_entry:
            entries = chosen.frames // size
            runs = []
            for _ in range(chosen.runs):
                client.flushall()
                fill(client, entries, size)
                baseline = time_baseline(client, size)
                runs.append(time_worker(client, url, entries * size) | {"baseline_frames_per_s": baseline})
            report[f"{size}_frames_per_entry"] = {
                name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]
            } | {"all_frames_per_s": [round(run["frames_per_s"]) for run in runs]}
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
