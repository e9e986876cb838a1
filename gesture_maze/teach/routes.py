"""The page of `maze teach` and its HTTP interface."""

from __future__ import annotations

import asyncio
from pathlib import PurePath
from typing import Annotated, Any, Final, Protocol

import numpy as np
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from gesture_maze.gateway.pages import FOLDER, HANDS, HANDS_CDN_ORIGIN, SafeHeaders, game_policy, hands_at
from gesture_maze.readers.aspects import parse_aspect
from gesture_maze.readers.hands import ASK_FOR_ASPECT
from gesture_maze.readers.read import read_text
from gesture_maze.readers.text import decoded
from gesture_maze.teach.classroom import Classroom, checked_actions
from gesture_maze.teach.files import DEFAULT_FPS, add_recording
from gesture_maze.teach.takes import MOST_FRAMES, Take, teach_error
from gesture_maze.teach.variety import variety
from gesture_maze.wire.errors import MazeError, SettingsError

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""Largest body of one request: a take of two minutes, or a dropped file."""

Point = Annotated[list[float], Field(min_length=2, max_length=3)]
Hand = Annotated[list[Point], Field(max_length=21)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Recorded(_Body):
    """Frames of the camera, to become a take."""

    label: str
    source: str = "camera"
    consent: bool
    frames: Annotated[list[dict[str, Any]], Field(max_length=MOST_FRAMES)]


class Shown(_Body):
    """Hands of a take that is being recorded."""

    hands: Annotated[list[Annotated[list[Point], Field(min_length=21, max_length=21)]], Field(max_length=200)]
    aspect: Annotated[float, Field(gt=0.01, lt=100)]
    left: Annotated[list[bool], Field(max_length=200)]


class Renamed(_Body):
    """A take's new gesture."""

    label: str


class Tried(_Body):
    """The action of each gesture in the maze."""

    actions: dict[str, str]


class Shipped(_Body):
    """The role of the model in the pool."""

    challenger: bool = False
    share: Annotated[float, Field(gt=0, le=1)] = 0.1
    accept_fall: bool = False


class Stage(Protocol):
    """Where taught models are tried and shipped."""

    def play(self, room: Classroom) -> None:
        """Make the newest model answer the frames of the page."""

    def ship(self, room: Classroom, share: float | None, *, accept_fall: bool = False) -> str:
        """Promote the newest model in the pool of `--redis`, or make it challenger of a share.

        A model that costs its base too much accuracy is refused, unless that is accepted.
        """

    @property
    def pool(self) -> str:
        """The address of the pool to ship to, without a password; empty if there is none."""


router = APIRouter(prefix="/teach")


def build(room: Classroom, stage: Stage) -> FastAPI:
    """Return the application that answers below /teach."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.room, app.state.stage = room, stage
    app.include_router(router)

    async def refused(_request: Request, error: Exception) -> JSONResponse:
        reason = getattr(error, "reason", "teach")
        return JSONResponse({"reason": str(reason), "detail": str(error)}, 422)

    async def unreadable(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"][1:]))
        return JSONResponse({"reason": "teach", "detail": f"{where}: {first['msg']}"}, 422)

    app.add_exception_handler(MazeError, refused)
    app.add_exception_handler(RequestValidationError, unreadable)
    app.add_middleware(SafeHeaders)
    return app


def _room(request: Request) -> Classroom:
    room: Classroom = request.app.state.room
    return room


def _stage(request: Request) -> Stage:
    stage: Stage = request.app.state.stage
    return stage


@router.get("")
async def page() -> HTMLResponse:
    """Return the page."""
    text = (FOLDER / "teach.html").read_text().replace("{{hands}}", hands_at())
    cdn = "" if (HANDS / "hands.js").exists() else HANDS_CDN_ORIGIN
    headers = {"Content-Security-Policy": game_policy(cdn), "Cache-Control": "no-store"}
    return HTMLResponse(text, headers=headers)


@router.get("/state")
def state(request: Request) -> dict[str, Any]:
    """Return takes, gestures and the newest training."""
    return _room(request).state() | {"pool": _stage(request).pool}


@router.get("/training")
async def training(request: Request) -> dict[str, Any]:
    """Return the progress of the training."""
    return _room(request).training.as_dict()


@router.post("/train")
def train(request: Request) -> dict[str, Any]:
    """Start a training."""
    _room(request).start_training()
    return _room(request).training.as_dict()


@router.post("/variety")
def measure(body: Shown) -> dict[str, Any]:
    """Return how varied the hands of a recording are so far."""
    if len(body.left) != len(body.hands):
        raise teach_error("left must have one entry per hand")
    points = np.array([[point[:2] for point in hand] for hand in body.hands]).reshape(-1, 21, 2)
    points[:, :, 0] *= body.aspect
    return variety(points, body.left).as_dict()


@router.post("/takes")
def add(request: Request, body: Recorded) -> dict[str, str]:
    """Keep a recording as a take."""
    if not body.consent:
        raise teach_error("nothing was kept: consent is required")
    return {"id": _room(request).takes.add(body.label, body.frames, body.source[:80]).id}


@router.post("/files")
async def add_file(
    request: Request, name: str, label: str, consent: bool = False, aspect: str | None = None
) -> dict[str, Any]:
    """Make takes from a file with landmarks (CSV or JSON of any layout), one per recording in it."""
    if not consent:
        raise teach_error("nothing was kept: consent is required")
    data = await _body(request)
    room = _room(request)
    takes, found = await asyncio.to_thread(takes_of_file, room, name, data, label, _aspect(aspect))
    return {"takes": [take.id for take in takes], "found": found}


def _aspect(text: str | None) -> float | None:
    try:
        return None if text is None else parse_aspect(text)
    except ValueError as error:
        raise teach_error(f"size of the pictures: {error}") from None


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise teach_error(f"a file may have at most {MAX_BODY_BYTES >> 20} MiB")
        parts.append(part)
    return b"".join(parts)


def takes_of_file(
    room: Classroom, name: str, data: bytes, label: str, aspect: float | None
) -> tuple[list[Take], str]:
    """Make takes from a file of landmarks, and return them with what was found in the file.

    Args:
        room: the classroom that stores them.
        name: of the file, for its suffix and for errors.
        data: its bytes.
        label: the gesture that it shows.
        aspect: image width / height; None keeps the file's own.

    Raises:
        SettingsError: `data` or `teach`.
    """
    plain = PurePath(name).name[:80]
    try:
        recording = read_text(plain, decoded(plain, data), aspect=aspect)
    except SettingsError as error:
        raise teach_error(str(error).replace(ASK_FOR_ASPECT, "give the size of the pictures below")) from None
    return add_recording(room.takes, recording, plain, label, DEFAULT_FPS), recording.describe()


@router.get("/takes.zip")
def export(request: Request) -> Response:
    """Return all takes as captures in one zip."""
    headers = {"Content-Disposition": 'attachment; filename="takes.zip"'}
    return Response(_room(request).takes.zipped(), media_type="application/zip", headers=headers)


@router.get("/takes/{take}")
def download(request: Request, take: str) -> FileResponse:
    """Return one take as a capture."""
    path = _room(request).takes.path_of(take)
    return FileResponse(path, media_type="application/gzip", filename=path.name)


@router.patch("/takes/{take}")
def relabel(request: Request, take: str, body: Renamed) -> dict[str, str]:
    """Give a take another gesture."""
    return {"id": _room(request).takes.relabel(take, body.label).id}


@router.delete("/takes/{take}")
def delete(request: Request, take: str) -> dict[str, str]:
    """Remove a take from the disk."""
    _room(request).takes.delete(take)
    return {"id": take}


@router.post("/try")
def play(request: Request, body: Tried) -> dict[str, Any]:
    """Let the newest model steer the maze of the page; the mapping becomes part of it."""
    room = _room(request)
    actions = checked_actions(body.actions, room.taught().bundle.manifest.labels)
    taught = room.steer(actions)
    _stage(request).play(room)
    return {"model": taught.bundle.version, "actions": actions}


@router.post("/ship")
def ship(request: Request, body: Shipped) -> dict[str, str]:
    """Promote the newest model, or make it challenger."""
    share = body.share if body.challenger else None
    sentence = _stage(request).ship(_room(request), share, accept_fall=body.accept_fall)
    return {"sentence": sentence}


@router.get("/bundle.zip")
def bundle(request: Request) -> Response:
    """Return the newest model as one zip."""
    found = _room(request).taught().bundle
    headers = {"Content-Disposition": f'attachment; filename="{found.version}.zip"'}
    return Response(found.to_zip(), media_type="application/zip", headers=headers)
