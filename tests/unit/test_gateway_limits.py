"""What the gateway knows of a client: its rates, address and token."""

from __future__ import annotations

import pytest

from gesture_maze.gateway.forwarded import address_of, encrypted, network_of
from gesture_maze.gateway.limits import MOST_FAULTS, Allowance, ConcurrencyLimit, FaultBudget, Rates
from gesture_maze.gateway.refusals import GatewayError, Refusal
from gesture_maze.gateway.tokens import Claim, Tokens, bearer_of, new_session

# --- limits


def test_allowance_passes_a_steady_camera_and_limits_a_flood() -> None:
    steady = Allowance(30, 0.0)
    assert all(steady.take(frame / 30) for frame in range(300))
    flood = Allowance(30, 0.0)
    passed = sum(flood.take(frame / 1000) for frame in range(2000))
    assert 60 <= passed <= 30 * 1.1 * 2 + 16


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
    with pytest.raises(GatewayError, match="which is the limit"):
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
