"""The gateway against its OpenAPI schema, and its socket against arbitrary messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from tests.support.gateway import Player, Served


@pytest.fixture(scope="module")
def long_player(gateway: Served) -> Iterator[Player]:
    """A player who sends valid messages during the whole module."""
    with gateway.play(name="long") as found:
        yield found


@pytest.fixture(scope="module")
def interface(gateway: Served) -> Any:
    """The schema of /openapi.json."""
    import schemathesis  # takes as long as most tests, so not whenever this file is collected

    # the default list and 413: an invalid body may be too large as well
    refused = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, "5xx"]
    checks = {"negative_data_rejection": {"expected-statuses": [str(one) for one in refused]}}
    config = schemathesis.Config.from_dict({"checks": checks})
    return schemathesis.openapi.from_url(f"http://{gateway.address}/openapi.json", config=config)


OPERATIONS = ("POST /predict", "GET /scores/{size}", "GET /daily", "GET /", "GET /livez", "GET /readyz")


@pytest.mark.parametrize("validity", ["positive", "negative"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_with_generated_requests_matches_its_schema(
    interface: Any, name: str, validity: str
) -> None:
    from schemathesis import GenerationMode

    method, path = name.split()
    mode = GenerationMode(validity)
    operation = interface[path][method]
    if mode.is_negative and not (operation.body or operation.path_parameters):
        return  # no input that could be invalid

    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def holds(case: Any) -> None:
        case.call_and_validate()

    holds()


def test_operations_in_the_schema_are_all_tested(interface: Any) -> None:
    described = {f"{one.ok().method.upper()} {one.ok().path}" for one in interface.get_all_operations()}
    assert described == set(OPERATIONS)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=22) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=40,
)
KINDS = st.sampled_from(["hello", "start", "key", "input", "pause", "name", "race", "go", "frame", ""])
FIELDS = st.sampled_from(
    ["type", "seq", "t", "landmarks", "aspect", "size", "seed", "move", "token", "name", "width"]
)
MESSAGES = st.dictionaries(FIELDS, VALUES, max_size=6) | st.fixed_dictionaries(
    {"type": KINDS}, optional={"seq": VALUES, "landmarks": VALUES, "seed": VALUES}
)
MESSAGES = (
    st.binary(max_size=400)
    | st.binary(min_size=276, max_size=276)
    | st.text(max_size=200)
    | MESSAGES.map(json.dumps)
)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=MESSAGES, messages=st.lists(MESSAGES, max_size=12), welcomed=st.booleans())
def test_client_with_arbitrary_messages_does_not_affect_other_players(
    gateway: Served, long_player: Player, first: Any, messages: list[Any], welcomed: bool
) -> None:
    with gateway.socket() as client, suppress(ConnectionClosed, TimeoutError):
        if welcomed:
            client.hello()
        for message in [first, *messages]:
            client.socket.send(message)
        client.socket.recv(0.01)
    assert long_player.still_plays()


def test_player_with_valid_messages_is_never_refused(long_player: Player) -> None:
    with pytest.raises(TimeoutError):
        long_player.receive(lambda message: message.get("type") == "refused", 0.05)
