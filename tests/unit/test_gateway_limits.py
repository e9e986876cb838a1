"""What the gateway knows of a client: its rates, address and token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError
from starlette.types import Message, Receive, Scope, Send

import gesture_maze.gateway.turns as turns_module
from gesture_maze.gateway.forwarded import address_of, encrypted, network_of
from gesture_maze.gateway.guard import Guard
from gesture_maze.gateway.limits import MOST_FAULTS, Allowance, ConcurrencyLimit, FaultBudget, Rates
from gesture_maze.gateway.logs import Outages
from gesture_maze.gateway.metrics import Metrics
from gesture_maze.gateway.refusals import GatewayError, Refusal
from gesture_maze.gateway.settings import Settings
from gesture_maze.gateway.tokens import Claim, Tokens, bearer_of, new_session
from gesture_maze.gateway.turns import HELD_PER_NETWORK, REFUSALS_PER_S, Holds, Turns
from gesture_maze.worker.logs import Log
from tests.support.event_loop import next_pass

# --- limits


def test_allowance_passes_a_steady_camera_and_limits_a_flood() -> None:
    steady = Allowance(30, 0.0)
    assert all(steady.take(frame / 30) for frame in range(300))
    flood = Allowance(30, 0.0)
    passed = sum(flood.take(frame / 1000) for frame in range(2000))
    assert 60 <= passed <= 30 * 1.1 * 2 + 16


def test_rates_take_large_requests_for_several() -> None:
    rates = Rates(10, 10)
    assert [rates.take("a", 0.0, weight=8) for _ in range(3)] == [True, True, False]
    assert rates.take("b", 0.0)
    assert not rates.take("a", 0.2)
    assert rates.take("a", 1.0)


async def test_guard_counts_large_headers_as_several_requests() -> None:
    sent = list[object]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            sent.append(message["status"])

    rates = Rates(1e-6, 8)
    guard = Guard(app, Metrics(), rates=rates, predictions=rates, settings=Settings(secret="x" * 32))
    for address, kilobytes in (("10.0.0.1", 56), ("10.0.0.1", 1), ("10.0.0.2", 1), ("10.0.0.2", 1)):
        headers = [(b"x", b"a" * 1024 * kilobytes)]
        where = {"client": (address, 1), "scheme": "http", "path": "/livez", "headers": headers}
        await guard({"type": "http", "method": "GET", **where}, receive, send)
    assert sent == [204, 429, 204, 204]


async def order_of(turns: Turns, networks: Sequence[str]) -> list[tuple[int, str]]:
    """Return the pass of the event loop in which each request began, all of which arrived in one."""
    passes, begun = 0, list[tuple[int, str]]()

    async def request(network: str) -> None:
        await turns.take(network)
        begun.append((passes, network))

    tasks = [asyncio.create_task(request(one)) for one in networks]
    while not all(task.done() for task in tasks):
        passes += 1
        await next_pass()
    return begun


async def test_turns_of_one_network_come_one_per_pass_and_do_not_delay_another() -> None:
    turns = Turns()
    begun = await order_of(turns, ["greedy"] * 10 + ["other"])
    of_greedy = [number for number, network in begun if network == "greedy"]
    assert len(set(of_greedy)) == 10
    assert begun.index((of_greedy[0], "other")) <= 2
    assert len(turns) == 0


async def test_turn_that_is_cancelled_does_not_stop_the_ones_behind_it() -> None:
    turns = Turns()
    tasks = [asyncio.create_task(turns.take("a")) for _ in range(4)]
    await next_pass()
    tasks[1].cancel()
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [task.cancelled() for task in tasks] == [False, True, True, False]
    assert len(turns) == 0


async def test_refusals_beyond_the_free_ones_are_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "HELD_S", 30.0)
    holds = Holds()
    for _ in range(int(REFUSALS_PER_S)):
        await holds.hold("a", 0.0)
    tasks = [asyncio.create_task(holds.hold("a", 0.0)) for _ in range(HELD_PER_NETWORK + 1)]
    tasks.append(asyncio.create_task(holds.hold("b", 0.0)))
    for _ in range(3):
        await next_pass()
    assert [task.done() for task in tasks] == [False] * HELD_PER_NETWORK + [True, True]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(holds) == 0


async def test_refusals_of_one_burst_are_sent_at_different_times(monkeypatch: pytest.MonkeyPatch) -> None:
    waits_s: list[float] = []

    async def sleep(seconds: float) -> None:
        waits_s.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    holds = Holds()
    for _ in range(int(REFUSALS_PER_S) + 10):
        await holds.hold("a", 0.0)
    assert len(set(waits_s)) == 10
    assert all(1.0 <= wait_s <= 2.0 for wait_s in waits_s)


def test_fault_budget_ends_after_frequent_faults_and_not_after_rare_ones() -> None:
    often, rare = FaultBudget(0.0), FaultBudget(0.0)
    assert [often.ends(6, 0.01 * n) for n in range(11)].index(True) == MOST_FAULTS / 6
    assert not any(rare.ends(6, 5.0 * n) for n in range(1000))


def test_concurrency_limit_limits_sockets_per_network_and_in_total() -> None:
    limit = ConcurrencyLimit(per_network=2, in_total=3)
    for address in ("a", "a", "b"):
        limit.enter(address)
    with pytest.raises(GatewayError, match="full"):
        limit.enter("c")
    limit.leave("b")
    with pytest.raises(GatewayError, match="has reached its limit"):
        limit.enter("a")
    limit.enter("c")
    assert len(limit) == 3


def test_concurrency_limit_with_an_empty_network_limits_the_total_only() -> None:
    limit = ConcurrencyLimit(per_network=1, in_total=2)
    limit.enter("")
    limit.enter("")
    with pytest.raises(GatewayError, match="full"):
        limit.enter("")


def test_rates_are_separate_for_each_network_and_bounded_in_memory() -> None:
    rates = Rates(1, 3)
    assert [rates.take("a", 0.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert rates.take("b", 0.0)
    assert rates.take("a", 1.0)
    for number in range(20_000):
        rates.take(str(number), 1.0)
    assert len(rates._buckets) == 10_000


@pytest.mark.parametrize(
    ("given", "address", "network"),
    [
        ("10.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("10.0.0.1:4711", "10.0.0.1", "10.0.0.1"),
        (" 10.0.0.1 ", "10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]:443", "2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("[fe80::1%eth0]:443", "fe80::1", "fe80::/64"),
        ("unknown", "unknown", "unknown"),
        ("x" * 1000, "x" * 64, "x" * 64),
    ],
)
def test_address_is_read_without_port_and_limited_by_network(given: str, address: str, network: str) -> None:
    assert address_of(given) == address
    assert network_of(given) == network


@pytest.mark.parametrize(
    ("values", "expected"),
    [(["https"], True), (["http, wss"], True), (["https", "http"], False), ([], False), (["WSS"], True)],
)
def test_encrypted_uses_the_scheme_of_the_last_proxy(values: list[str], expected: bool) -> None:
    assert encrypted(values) is expected


# --- tokens and settings


def test_tokens_return_the_signed_claim_and_refuse_other_bearers() -> None:
    tokens = Tokens("x" * 32, 60)
    claim = Claim(session=new_session(), name="Ann", bearer=bearer_of("cookie", "10.0.0.1"))
    token = tokens.issue(claim)
    assert tokens.check(token, bearer_of("cookie", "10.0.0.2")) == claim, "the address may change"
    with pytest.raises(GatewayError) as stolen:
        tokens.check(token, bearer_of(None, "cookie"))
    assert stolen.value.refusal is Refusal.STOLEN_TOKEN
    for wrong in (token[:-1], token + "a", "", "a.b.c", token.replace(".", "", 1)):
        with pytest.raises(GatewayError) as bad:
            tokens.check(wrong, claim.bearer)
        assert bad.value.refusal is Refusal.BAD_TOKEN


def test_new_session_is_128_random_bits() -> None:
    assert len({new_session() for _ in range(1000)}) == 1000
    assert len(bytes.fromhex(new_session())) == 16


# --- events of a lost Redis


def test_first_connection_is_logged_as_connected(capsys: pytest.CaptureFixture[str]) -> None:
    Outages(Log("json", "info")).available()
    assert json.loads(capsys.readouterr().err)["event"] == "redis_connected"


def test_outage_is_logged_once_whichever_connection_notices_it(capsys: pytest.CaptureFixture[str]) -> None:
    now_s = 100.0
    outages = Outages(Log("json", "info"), lambda: now_s)

    def events() -> list[str]:
        return [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]

    outages.unavailable("refused")
    for channel in ("demo", "races"):
        outages.lost("channel_lost", RedisConnectionError("refused"), channel=channel)
    assert events() == ["redis_disconnected"]
    outages.available()
    outages.lost("subscription_lost", RedisConnectionError("Redis was unavailable"))
    assert events() == ["redis_reconnected"]
    now_s += 60
    outages.lost("subscription_lost", OSError("reset"))
    outages.lost("channel_lost", OSError("reset"))
    outages.lost("channel_lost", NoPermissionError("no right to the channel"))
    assert events() == ["subscription_lost", "channel_lost"]
    now_s += 60
    outages.lost("subscription_lost", OSError("reset"))
    assert events() == ["subscription_lost"], "a loss that Redis outlives does not hide the next one"
