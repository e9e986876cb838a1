"""Games that outlive their gateway, races, and the scoreboards by input and seed."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gesture_maze.game.mazes import generate, solve
from gesture_maze.gateway.game import Game
from gesture_maze.gateway.races import COUNTDOWN_MS, MOST_RACERS
from gesture_maze.gateway.saved import SavedGames
from gesture_maze.gateway.scoreboard import SEED_BOARDS, Scoreboard
from gesture_maze.wire.keys import game_key, race_key, scores_key
from gesture_maze.worker.logs import Log
from tests.support.gateway import Player, Served, serving
from tests.support.servers import Server, wait_until


def press(player: Player, *ways: str) -> dict[str, Any]:
    """Walk by keyboard and return the last answer."""
    for way in ways:
        player.send_message({"type": "key", "move": way})
        found = player.receive_type("at")
    return found


def finish(player: Player, size: tuple[int, int], seed: int) -> dict[str, Any]:
    """Walk the shortest path from the entrance and return the final message."""
    player.walk(*solve(generate(*size, seed)))
    return player.receive_type("finished")


def test_game_after_gateway_restart_continues(pool: Server) -> None:
    assert pool.url is not None
    way = solve(generate(6, 5, 3))
    with serving(pool.url) as gateway, gateway.play() as ann:
        ann.send_message({"type": "start", "size": "small", "seed": 3})
        before = press(ann, *way[:3])
        token, session = ann.welcome["token"], ann.welcome["session"]
    assert 0 < pool.client.ttl(game_key(session)) <= 600
    with serving(pool.url) as another, another.play(token=token) as again:
        game = again.welcome["game"]
        assert (game["seed"], game["cell"], game["moves"]) == (3, before["cell"], 3)
        assert game["running"]
        assert game["time_ms"] >= before["time_ms"], "the clock went on while the gateway was away"
        again.send_message({"type": "start", "size": "small", "seed": 4})
        again.receive_type("maze")
    with serving(pool.url) as third, third.play(token=again.welcome["token"]) as ann:
        assert ann.welcome["game"]["seed"] == 4, "a maze that was left does not come back"


def test_saved_game_malformed_is_ignored(pool: Server, gateway: Served) -> None:
    with gateway.play() as ann:
        token, session = ann.welcome["token"], ann.welcome["session"]
    for hostile in (b"\xff", b"[]", b'{"size":"small","seed":-1}', _record(cell=999)):
        pool.client.set(game_key(session), hostile)
        with gateway.play(token=token) as ann:
            assert ann.welcome["game"] is None
            assert ann.still_plays()


def _record(**changed: Any) -> str:
    saved = Game.begin("small", 3).save(0.0, 0)
    return saved.model_copy(update=changed).model_dump_json()


def test_saved_games_without_redis_are_bounded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gesture_maze.gateway.saved.MOST_WAITING", 100)

    async def run() -> None:
        dead = Redis(port=1, socket_connect_timeout=0.2, retry=Retry(NoBackoff(), 0))
        games = SavedGames(dead, 60, Log("human", "info"))
        game = Game.begin("small", 3)
        for number in range(110):
            games.note(f"s{number}", game)
        for _ in range(2):
            await games.flush()
        assert len(games._changed) == 100
        await dead.aclose()

    asyncio.run(run())
    assert capsys.readouterr().err.count("games_not_saved") == 1


def test_move_while_paused_has_no_effect(gateway: Served) -> None:
    way = solve(generate(6, 5, 3))[0]
    with gateway.play() as ann:
        ann.send_message({"type": "start", "size": "small", "seed": 3})
        ann.receive_type("maze")
        ann.send_message({"type": "pause", "on": True})
        ann.send_message({"type": "key", "move": way})
        ann.send_message({"type": "pause", "on": False})
        assert press(ann, way)["moves"] == 1


def test_timing_after_reply_is_sent(gateway: Served) -> None:
    with gateway.play() as ann:
        ann.reply_to(ann.show())
        assert 0 < ann.receive_type("timing")["gateway_ms"] < 5000


# --- races


def test_race_across_two_gateways_shows_both_players(pool: Server, gateway: Served) -> None:
    assert pool.url is not None
    with serving(pool.url) as other, gateway.play(name="Ann") as ann, other.play(name="Ben") as ben:
        ann.send_message({"type": "race", "size": "small"})
        race = ann.receive_type("race")
        assert (race["starts_ms"], [one["name"] for one in race["racers"]]) == (0, ["Ann"])
        assert 0 < pool.client.ttl(race_key(race["id"])) <= 3600
        ben.send_message({"type": "race", "id": race["id"]})
        mine = ben.receive_type("race")
        both = ann.receive(lambda one: one.get("type") == "race" and len(one["racers"]) == 2)
        assert mine["you"] != both["you"]
        ben.send_message({"type": "go"})
        mazes = [one.receive_type("maze") for one in (ann, ben)]
        assert mazes[0]["ways"] == mazes[1]["ways"]
        assert all(0 < one["opens_in_ms"] <= COUNTDOWN_MS for one in mazes)
        way = solve(generate(6, 5, mazes[0]["seed"]))
        ann.send_message({"type": "key", "move": way[0]})  # too early: the race has not started
        time.sleep(mazes[0]["opens_in_ms"] / 1000 + 0.1)
        assert press(ann, way[0])["moves"] == 1
        seen = ben.receive(lambda one: one.get("type") == "racer" and one["moves"] == 1)
        assert (seen["name"], seen["who"]) == ("Ann", both["you"])
        ann.walk(*way[1:])
        assert ann.receive_type("finished")["race"] == race["id"]
        first = ben.receive(lambda one: one.get("type") == "racer" and one["place"] is not None)
        assert (first["name"], first["place"]) == ("Ann", 1)
        finish(ben, (6, 5), mazes[0]["seed"])
        last = ann.receive(lambda one: one.get("type") == "racer" and one["name"] == "Ben" and one["place"])
        assert last["place"] == 2
        ann.send_message({"type": "go"})
        assert ben.receive_type("maze")["seed"] != mazes[0]["seed"], "once more, in another maze"


def test_race_full_or_unknown_is_refused(pool: Server, gateway: Served) -> None:
    players = [gateway.play(name=f"p{number}") for number in range(MOST_RACERS + 1)]
    players[0].send_message({"type": "race", "size": "small"})
    race = players[0].receive_type("race")["id"]
    for one in players[1:MOST_RACERS]:
        one.send_message({"type": "race", "id": race})
        one.receive_type("race")
    players[-1].send_message({"type": "race", "id": race})
    assert players[-1].receive_type("refused")["reason"] == "race_full"
    players[1].send_message({"type": "race", "id": race})
    assert players[1].receive(lambda one: one.get("type") == "race" and len(one["racers"]) == MOST_RACERS)
    entered = [field for field in pool.client.hkeys(race_key(race)) if field.startswith(b"p:")]
    assert len(entered) == MOST_RACERS, "a player who returns takes no second place"
    players[-1].send_message({"type": "race", "id": "unknown"})
    wait_until(lambda: gateway.refused("no_race") > 0)
    for one in players:
        one.close()


def names_of(race: dict[str, Any]) -> list[str]:
    return sorted(one["name"] for one in race["racers"])


def test_race_before_it_is_joined_shows_its_players(gateway: Served) -> None:
    with gateway.play(name="Ann") as ann, gateway.play(name="Ben") as ben:
        ann.send_message({"type": "race", "size": "small"})
        race = ann.receive_type("race")["id"]
        ben.send_message({"type": "race", "id": race, "look": True})
        assert ben.receive_type("race_found") == {"type": "race_found", "id": race, "names": ["Ann"]}
        ann.send_message({"type": "race", "id": race, "look": True})
        assert names_of(ann.receive_type("race")) == ["Ann"], "a player of the race returns to it"
        ben.send_message({"type": "race", "id": race + "x", "look": True})
        assert ben.receive_type("refused")["reason"] == "no_race"


def test_player_who_takes_another_name_is_in_the_race_once(gateway: Served) -> None:
    with gateway.play(name="player") as ann, gateway.play(name="Ben") as ben:
        ann.send_message({"type": "start", "size": "small", "seed": 3})
        assert press(ann, *solve(generate(6, 5, 3))[:1])["moves"] == 1
        ann.send_message({"type": "name", "name": " Ann\n"})
        named = ann.receive_type("named")
        assert named["name"] == "Ann"
        ann.send_message({"type": "race", "size": "small"})
        race = ann.receive_type("race")["id"]
        ben.send_message({"type": "race", "id": race})
        assert names_of(ben.receive_type("race")) == ["Ann", "Ben"]
        ben.send_message({"type": "name", "name": "Cid"})
        for one in (ann, ben):
            one.receive(lambda news: news.get("type") == "race" and names_of(news) == ["Ann", "Cid"])
    with gateway.play(token=named["token"], name="") as ann:
        assert ann.welcome["name"] == "Ann"
    with gateway.play(token=named["token"], name="Anna") as ann:
        ann.send_message({"type": "race", "id": race})
        assert names_of(ann.receive_type("race")) == ["Anna", "Cid"], "changed while the connection was lost"


def test_race_that_a_player_has_left_ends_without_that_player(gateway: Served) -> None:
    with gateway.play(name="Ann") as ann, gateway.play(name="Ben") as ben:
        ann.send_message({"type": "race", "size": "small"})
        race = ann.receive_type("race")["id"]
        ben.send_message({"type": "race", "id": race})
        ann.receive(lambda news: news.get("type") == "race" and names_of(news) == ["Ann", "Ben"])
        ben.send_message({"type": "start", "size": "small", "seed": 3})
        ann.receive(lambda news: news.get("type") == "race" and names_of(news) == ["Ann"])
        ben.send_message({"type": "race", "id": race})
        ann.receive(lambda news: news.get("type") == "race" and names_of(news) == ["Ann", "Ben"])
        ann.send_message({"type": "go"})
        seed = ann.receive_type("maze")["seed"]
        ben.receive(lambda news: news.get("type") == "maze" and news["race"] == race)
        ben.send_message({"type": "start", "size": "small", "seed": 3})
        ann.receive(lambda news: news.get("type") == "race" and names_of(news) == ["Ann"])
        for session in gateway.app.state.room.sessions.present():
            if session.game is not None and session.game.race == race:  # the countdown is over
                session.game.opens_s = session.game.began_s = time.monotonic()
        finish(ann, (6, 5), seed)
        ann.send_message({"type": "race", "id": race})
        assert ann.receive(lambda news: news.get("type") == "race" and news["racers"][0]["place"])["over"]


# --- scoreboards


def test_scores_by_input_and_seed_are_filtered(pool: Server, gateway: Served) -> None:
    for key in pool.client.keys("{maze}:scores:*"):
        pool.client.delete(key)
    for seed, name in ((11, "Ann"), (12, "Ben")):
        with gateway.play(name=name) as one:
            one.send_message({"type": "start", "size": "small", "seed": seed})
            end = finish(one, (6, 5), seed)
            assert (end["moves"], end["seed"]) == (end["shortest"], seed)

    def names(query: str) -> list[str]:
        return [place["name"] for place in gateway.http.get(f"/scores/small{query}").json()]

    assert sorted(names("")) == sorted(names("?input=keyboard")) == ["Ann", "Ben"]
    assert names("?input=camera") == []
    assert names("?seed=11") == names("?seed=11&input=keyboard") == ["Ann"]
    assert names("?seed=11&input=camera") == []
    place = gateway.http.get("/scores/small?seed=12").json()[0]
    assert place["moves"] == place["shortest"] == len(solve(generate(6, 5, 12)))
    assert gateway.http.get("/scores/small?input=feet").status_code == 422


def test_seed_boards_beyond_limit_are_deleted(pool: Server) -> None:
    async def run() -> None:
        client: Any = Redis.from_url(str(pool.url))
        await client.delete(scores_key("seeds"))
        board = Scoreboard(client)
        old = {f"small:seed:{number}": number for number in range(SEED_BOARDS)}
        await client.zadd(scores_key("seeds"), old)
        await client.zadd(scores_key("small:seed:0"), {"x": 1})
        game = Game.begin("small", 999_999)
        game.moves = 20
        await board.add(game, "Ann", "session", 1000)
        assert await client.zcard(scores_key("seeds")) == SEED_BOARDS
        assert not await client.exists(scores_key("small:seed:0"))
        await board.add(game, "Ann", "session", 2000)
        assert await client.zscore(scores_key("small:seed:999999"), _only(await _all(client))) == 1000
        await client.delete(scores_key("seeds"))
        await client.aclose()

    async def _all(client: Any) -> Any:
        return await client.zrange(scores_key("small:seed:999999"), 0, -1)

    def _only(found: Any) -> Any:
        (one,) = found
        return one

    asyncio.run(run())


def test_daily_maze_is_the_date(gateway: Served) -> None:
    found = gateway.http.get("/daily").json()
    assert found["seed"] == int(found["date"].replace("-", ""))


@pytest.fixture(autouse=True)
def _room_for_races(gateway: Served) -> None:
    gateway.app.state.room.races._begun_s.clear()
