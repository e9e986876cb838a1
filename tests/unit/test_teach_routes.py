"""The page's requests to `maze teach`, and who may send them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gesture_maze.models.bundle import BUNDLED, Bundle
from gesture_maze.teach import classroom
from gesture_maze.teach.classroom import Classroom, Training
from gesture_maze.teach.guard import OwnPageOnly
from gesture_maze.teach.routes import build
from tests.support.takes import frames

TOKEN = "a token of the tests"
ADDRESS = "http://127.0.0.1:8010"


class NoStage:
    """Notes what is asked of it."""

    pool = ""

    def __init__(self) -> None:
        self.played: list[str] = []

    def play(self, room: Classroom) -> None:
        self.played.append(room.taught().bundle.version)

    def ship(self, room: Classroom, share: float | None, *, accept_fall: bool = False) -> str:
        return f"{room.taught().bundle.version} {share}"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Classroom:
    return Classroom.open(tmp_path_factory.mktemp("takes"), BUNDLED)


@pytest.fixture
def stranger(room: Classroom) -> httpx.AsyncClient:
    """A client that has not opened the printed address."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(OwnPageOnly(build(room, NoStage()), TOKEN)), base_url=ADDRESS
    )


@pytest.fixture
async def client(room: Classroom, stranger: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """The page; takes are removed afterwards."""
    found = await stranger.get(f"/teach?token={TOKEN}")
    assert found.status_code == 303
    assert "samesite=strict" in found.headers["set-cookie"].lower()
    yield stranger
    for take in room.takes.all():
        room.takes.delete(take.id)


def recorded(gesture: str = "pinky", **changed: Any) -> dict[str, Any]:
    return {"label": gesture, "consent": True, "frames": frames(gesture, 1), **changed}


async def test_page_without_the_token_is_refused_and_names_what_to_open(stranger: httpx.AsyncClient) -> None:
    for address in ("/teach", "/teach?token=guess"):
        found = await stranger.get(address)
        assert found.status_code == 403
        assert "printed" in found.text
    assert (await stranger.get("/teach/state")).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.org"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "null"},
        {"Host": "example.org"},
        {"Host": "127.0.0.1.example.org:8010"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_request_of_another_site_is_refused_and_keeps_nothing(
    client: httpx.AsyncClient, room: Classroom, headers: dict[str, str]
) -> None:
    assert (await client.post("/teach/takes", json=recorded(), headers=headers)).status_code == 403
    assert room.takes.all() == []


async def test_page_and_own_requests_are_answered(client: httpx.AsyncClient) -> None:
    page = await client.get("/teach")
    assert page.status_code == 200
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert (
        await client.post("/teach/takes", json=recorded(), headers={"Origin": ADDRESS})
    ).status_code == 200


async def test_take_is_recorded_relabelled_exported_and_deleted(client: httpx.AsyncClient) -> None:
    take = (await client.post("/teach/takes", json=recorded())).json()["id"]
    state = (await client.get("/teach/state")).json()
    assert [(one["id"], one["label"], one["hands"]) for one in state["takes"]] == [(take, "pinky", 30)]
    assert "pinky" in state["gestures"]
    assert (await client.patch(f"/teach/takes/{take}", json={"label": "swipe"})).status_code == 200
    with zipfile.ZipFile(io.BytesIO((await client.get("/teach/takes.zip")).content)) as archive:
        assert archive.namelist() == [f"swipe-{take}.jsonl.gz"]
    assert (await client.get(f"/teach/takes/{take}")).content[:2] == b"\x1f\x8b"
    assert (await client.delete(f"/teach/takes/{take}")).status_code == 200
    assert (await client.get("/teach/state")).json()["takes"] == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (recorded(consent=False), "consent is required"),
        (recorded(label="../../x"), "the name of a gesture"),
        (recorded(frames=[]), "5 frames with a hand"),
        ({"label": "x"}, "Field required"),
    ],
)
async def test_wrong_take_is_refused_with_a_sentence(
    client: httpx.AsyncClient, room: Classroom, body: dict[str, Any], words: str
) -> None:
    found = await client.post("/teach/takes", json=body)
    assert found.status_code == 422
    assert words in found.json()["detail"]
    assert room.takes.all() == []


async def test_file_of_landmarks_becomes_a_take_and_a_foreign_one_is_refused(
    client: httpx.AsyncClient,
) -> None:
    header = ",".join(f"{axis}{point}" for point in range(1, 22) for axis in "xy")
    row = ",".join(str(100 + 7 * number % 90) for number in range(42))
    query = {"name": "mine.csv", "label": "pinky", "consent": "true"}
    found = await client.post("/teach/files", params=query, content="\n".join([header, *[row] * 8]))
    assert len(found.json()["takes"]) == 1
    assert "8 hands" in found.json()["found"]
    assert (await client.post("/teach/files", params=query, content='{"a": 1}')).status_code == 422


async def test_dropped_file_of_normalised_coordinates_takes_the_size_of_its_pictures(
    client: httpx.AsyncClient, room: Classroom
) -> None:
    header = ";".join(f"{axis}{point}" for point in range(21) for axis in "xy")
    row = ";".join(f"0,{10 + 7 * number % 90}" for number in range(42))
    text = "\r\n".join([header, *[row] * 8])
    query = {"name": "mine.csv", "label": "pinky", "consent": "true"}
    for size, words in ({}, "give the size of the pictures below"), ({"aspect": "wide"}, "640x480"):
        found = await client.post("/teach/files", params=query | size, content=text.encode("utf-16"))
        assert found.status_code == 422
        assert words in found.json()["detail"]
        assert "--aspect" not in found.json()["detail"]
    found = await client.post(
        "/teach/files", params=query | {"aspect": "640x480"}, content=text.encode("utf-16")
    )
    take = found.json()["takes"][0]
    assert next(one for one in room.takes.all() if one.id == take).aspect[0] == pytest.approx(4 / 3)


async def test_variety_of_a_recording_gives_a_prompt(client: httpx.AsyncClient) -> None:
    hands = [frame["landmarks"] for frame in frames("pinky", 1)]
    body = {"hands": hands, "left": [False] * len(hands), "aspect": 4 / 3}
    found = (await client.post("/teach/variety", json=body)).json()
    assert 0 < found["total"] < 1
    assert found["prompt"]
    assert (await client.post("/teach/variety", json={**body, "left": []})).status_code == 422


async def test_untrained_room_has_nothing_to_try_or_ship(client: httpx.AsyncClient) -> None:
    for path, body in (("train", None), ("try", {"actions": {"pinky": "up"}}), ("ship", {})):
        found = await client.post(f"/teach/{path}", json=body)
        assert found.status_code == 422, path
        assert found.json()["detail"]
    assert (await client.get("/teach/bundle.zip")).status_code == 422


@dataclass(frozen=True)
class Newest:
    """A taught model, of which only the bundle matters."""

    bundle: Bundle


def test_mapping_given_while_a_training_begins_leaves_that_training_without_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Classroom.open(tmp_path, BUNDLED)
    newest: Any = Newest(room.base)
    room.training, begun = Training(taught=newest), Training(running=True)

    def begin_meanwhile(bundle: Bundle, _actions: object) -> Bundle:
        room.training = begun
        return bundle

    monkeypatch.setattr(classroom, "with_actions", begin_meanwhile)
    room.steer({"like": "left"})
    assert begun.taught is None
