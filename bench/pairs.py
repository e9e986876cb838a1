"""Compares this checkout with an earlier one, in alternating runs.

`git worktree add /tmp/base 5303f39 && python bench/pairs.py --before /tmp/base [--runs 5] [--seconds 10]`

Measures the workers of both checkouts on one machine with the same frames: throughput on full streams, CPU of
worker and server per frame, latency with random arrivals, memory, time to the first answer, and an idle
worker. Runs of the arms alternate, forwards and then backwards, so that a busy machine disturbs all of them;
a figure is the median of the runs with the least and the largest. Ratios are those of medians, and those of
the runs of one round, which a machine that is slow for minutes changes less. Prints one JSON object, and
writes it to `--out`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import latency
import numpy as np
import redis
from arms import Arm, compiled, drained, here, idle, listening, ready, server_us, summary
from drain import PARTITIONS, fill
from servers import redis_server

TICK = 32
RATES = (3_000, 10_000)
PARTS = ("ticks", "single", "idle", *(f"latency at {rate}/s" for rate in RATES))
Runs = dict[str, list[dict[str, float]]]
"""Measurement -> the figures of each run."""
Figures = dict[str, dict[str, dict[str, float]]]
"""Measurement -> figure -> median, least and largest."""


def measured_drain(client: redis.Redis, url: str, arm: Arm, frames: int, size: int) -> dict[str, float]:
    """Return the figures of one drain, with the server's share in µs per frame, all replies subscribed."""
    client.flushall()
    client.config_resetstat()
    fill(client, frames // size, size, compact=arm.compact, reply_to=arm.reply_to)
    with listening(client, arm):
        found = drained(client, url, arm, frames // size * size)
    for name, commands in (("xadd", ("xadd",)), ("xread", ("xread",)), ("commit", ("evalsha",))):
        found[f"server_{name}_us_per_frame"] = server_us(client, *commands) / frames
    found["server_us_per_frame"] = server_us(client, "xadd", "xread", "evalsha") / frames
    return found


def measured_latency(client: redis.Redis, url: str, arm: Arm, rate: int, seconds: float) -> dict[str, float]:
    """Return percentiles in ms at a rate of single frames with random gaps."""
    client.flushall()
    # without age limits: on a busy machine frames wait and must not be dropped
    with arm.running(url, deadline_ms=0, supersede_ms=0):
        ready(client, PARTITIONS)
        found = latency.run(url, rate, 100, seconds, poisson=True)
    p50, p99, p999 = np.percentile(found, [50, 99, 99.9]).tolist()
    return {"p50_ms": p50, "p99_ms": p99, "p99_9_ms": p999}


def compared(before: Figures, after: Figures) -> dict[str, float]:
    """Return after / before of each median that both have."""
    return {
        f"{part} {name}": round(after[part][name]["median"] / figure["median"], 3)
        for part, figures in before.items()
        for name, figure in figures.items()
        if figure["median"] and part in after
    }


def paired(before: Runs, after: Runs) -> Figures:
    """Return after / before of each figure, run by run."""
    found: Figures = {}
    for part in before.keys() & after.keys():
        pairs = list(zip(before[part], after[part], strict=True))
        names = [name for name in before[part][0] if all(one[name] for one, _ in pairs)]
        found[part] = summary([{name: two[name] / one[name] for name in names} for one, two in pairs])
    return found


def measure(url: str, arms: list[Arm], chosen: argparse.Namespace) -> dict[str, Runs]:
    """Return the runs of each arm."""
    client = redis.Redis.from_url(url, protocol=3)
    parts = {
        "ticks": lambda arm: measured_drain(client, url, arm, chosen.frames, TICK),
        "single": lambda arm: measured_drain(client, url, arm, chosen.frames, 1),
        "idle": lambda arm: _idle(client, url, arm, chosen.seconds),
    } | {
        f"latency at {rate}/s": lambda arm, rate=rate: measured_latency(
            client, url, arm, rate, chosen.seconds
        )
        for rate in RATES
    }
    found: dict[str, Runs] = {arm.name: {} for arm in arms}
    for part, run in parts.items():
        if chosen.only and part not in chosen.only:
            continue
        # a reply channel and compact landmarks are for ticks
        taking = [arm for arm in arms if part == "ticks" or not arm.reply_to]
        for arm in taking:
            found[arm.name][part] = []
        for number in range(chosen.runs):
            for arm in reversed(taking) if number % 2 else taking:
                figures = run(arm)
                found[arm.name][part].append(figures)
                print(f"{part}, run {number + 1}, {arm.name}: {figures}", file=sys.stderr)
    return found


def _idle(client: redis.Redis, url: str, arm: Arm, seconds: float) -> dict[str, float]:
    client.flushall()
    return idle(client, url, arm, seconds)


def main() -> None:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--before", type=Path, help="checkout to compare with")
    options.add_argument("--before-module", default="worker", help="module of the worker in that checkout")
    options.add_argument("--compiled", type=Path, help="checkout with compiled modules beside their sources")
    options.add_argument("--frames", type=int, default=400_000)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--seconds", type=float, default=10.0)
    options.add_argument("--only", nargs="*", choices=PARTS)
    options.add_argument("--out", type=Path)
    chosen = options.parse_args()
    arms = [Arm("before", chosen.before.resolve(), chosen.before_module)] if chosen.before else []
    arms += [here(), here("after, reply channel and compact", reply_to="bench", compact=True)]
    if chosen.compiled:
        alone = Arm("compiled", compiled(chosen.compiled))
        both = replace(alone, name="compiled, reply channel and compact", reply_to="bench", compact=True)
        arms += [alone, both]
    with redis_server() as url:
        runs = measure(url, arms, chosen)
    figures = {name: {part: summary(all_of) for part, all_of in of.items()} for name, of in runs.items()}
    report = {
        "date": time.strftime("%Y-%m-%d"),
        "runs": chosen.runs,
        "load_at_end": os.getloadavg()[0],
        "figures": figures,
    }
    if chosen.before:
        names = [arm.name for arm in arms[1:]]
        report["ratios"] = {name: compared(figures["before"], figures[name]) for name in names}
        report["ratios_of_pairs"] = {name: paired(runs["before"], runs[name]) for name in names}
    text = json.dumps(report, indent=2)
    print(text)
    if chosen.out:
        chosen.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
