"""Writes the test vectors of the wire, for clients in other languages. `python tests/vectors/make.py`

The expected bytes are worked out here with struct, zlib and json alone, so that they are a second opinion on
our codec and not its echo; tests/unit/test_wire_vectors.py holds the codec against them.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

HAND, LEFT, MIRRORED = 1, 2, 4


def hand(scale: float = 1.0) -> list[list[float]]:
    """21 points whose coordinates are exact in float32."""
    return [[scale * (i + 1) / 64, scale * (i * i % 37) / 128, scale * (i - 10) / 256] for i in range(21)]


def frame(session: str, seq: int, t: int, aspect: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"session": session, "seq": seq, "t": t, "aspect": aspect, "landmarks": hand(), **more}


def packed(frames: list[dict[str, Any]]) -> dict[str, str]:
    meta, landmarks = b"", b""
    for one in frames:
        flags = HAND * bool(one["landmarks"])
        flags |= LEFT * (one.get("hand") == "left") | MIRRORED * one.get("mirrored", False)
        meta += struct.pack("<QqfI", one["seq"], one["t"], one["aspect"], flags)
        points = [[*point, 0.0][:3] for point in one["landmarks"]] or [[0.0, 0.0, 0.0]] * 21
        landmarks += struct.pack("<63f", *(value for point in points for value in point))
    sessions = " ".join(one["session"] for one in frames).encode()
    return {"s": sessions.hex(), "m": meta.hex(), "l": landmarks.hex()}


def compact(frames: list[dict[str, Any]]) -> str | None:
    """Field `c` as hex; None where a coordinate is outside -1 to 3."""
    steps: list[int] = []
    for one in frames:
        coordinates = [value for point in one["landmarks"] for value in point[:2]]
        if not all(-1 <= value <= 3 for value in coordinates):
            return None
        # int(... + 0.5), because none of the values is half-way between two steps
        steps += [int((value + 1) / 4 * 65535 + 0.5) for value in coordinates] or [0] * 42
    return struct.pack(f"<{len(steps)}H", *steps).hex()


def frame_cases() -> list[dict[str, Any]]:
    pairs = [point[:2] for point in hand()]
    cases = {
        "one right hand": [frame("p1", 17, 1_700_000_000_000, 1.25)],
        "left hand in a mirrored image": [
            frame("p1", 18, 1_700_000_000_033, 1.25, hand="left", mirrored=True)
        ],
        "no hand": [{**frame("p1", 19, 1_700_000_000_066, 1.25), "landmarks": []}],
        "pairs: z is 0": [{**frame("p1", 20, 1_700_000_000_100, 1.25), "landmarks": pairs}],
        "smallest numbers": [{**frame("-", 0, -(2**63) + 1, 0.015625), "landmarks": hand(-1.0)}],
        "largest numbers": [{**frame("Z" * 64, 2**63 - 1, 2**63 - 1, 100.0), "landmarks": hand(2.0**20)}],
        "a tick of three": [
            frame("a_1", 1, 5),
            {**frame("b-2", 9, 6, 1.5), "landmarks": []},
            frame("c", 3, 7),
        ],
        "a hand partly outside the picture": [
            {
                **frame("p1", 23, 76, 1.25),
                "landmarks": [[-1.0 + i / 16, 3.0 - i / 16, 0.0] for i in range(21)],
            }
        ],
        "two frames of one session keep their order": [frame("p1", 21, 10), frame("p1", 22, 43)],
    }
    return [
        {
            "name": name,
            "frames": frames,
            "packed": packed(frames),
            "compact": compact(frames),
            "text": json.dumps(frames),
        }
        for name, frames in cases.items()
    ]


def partition_cases() -> list[dict[str, Any]]:
    sessions = [
        "p1",
        "p2",
        "0",
        "-",
        "_",
        "A",
        "a",
        "Z" * 64,
        "player-1_of-2",
        "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    ]
    cases = []
    for session in sessions:
        crc = zlib.crc32(session.encode("utf-8"))
        cases.append(
            {"session": session, "crc32": crc, "partition": {str(p): crc % p for p in (1, 16, 64, 1024)}}
        )
    return cases


def reply_cases() -> list[dict[str, Any]]:
    shown: list[tuple[Any, ...]] = [
        ("like", 16, "0.987", "right", "up", "up"),
        ("dislike", 2, "1.000", "left", "down", None),
        ("three", 14, "0.700", "right", "left", "left"),
        ("four", 3, "0.703", "right", "right", "right"),
        ("no_gesture", 18, "0.005", "left", None, "stop"),
        (None, None, "0.000", None, None, None),
        ("swipe", 19, "0.912", "left", "left", "left"),
    ]
    cases = []
    for seq, (gesture, label, confidence, hand, action, move) in enumerate(shown):
        numbers = f'"seq":{seq},"t":{1_700_000_000_000 + 33 * seq}'
        seen = f'"gesture":{json.dumps(gesture)},"label":{json.dumps(label)},"confidence":{confidence}'
        decided = f'"hand":{json.dumps(hand)},"action":{json.dumps(action)},"move":{json.dumps(move)}'
        text = f'{{"v":1,"session":"p1",{numbers},{seen},{decided},"model":"2026.1"}}'
        cases.append(
            {"bytes": text, "channel": f"actions:{{{zlib.crc32(b'p1') % 16}}}:p1", "value": json.loads(text)}
        )
    return cases


def settings_cases() -> list[dict[str, Any]]:
    full = {
        "settle_evidence": 700, "first_repeat_ms": 1000, "repeat_ms": 500, "threshold": 0.5,
        "actions": {"like": "up", "left:swipe-2": "left", "right:swipe-2": "right"},
    }  # fmt: skip
    ticks: dict[str, list[dict[str, Any] | None]] = {
        "of one frame": [full],
        "of some frames of a tick": [None, {"repeat_ms": 50}, None, {"threshold": 1}],
        "taken back": [{}],
        "at their bounds": [
            {"settle_evidence": 100, "first_repeat_ms": 60_000},
            {"settle_evidence": 5000, "threshold": 0, "actions": {}},
        ],
    }
    return [
        {
            "name": name,
            "frames": [
                {**frame("p1", seq, 2), **({} if one is None else {"settings": one})}
                for seq, one in enumerate(settings)
            ],
            "o": json.dumps({str(at): one for at, one in enumerate(settings) if one is not None}),
        }
        for name, settings in ticks.items()
    ]


def reject_cases() -> list[dict[str, Any]]:
    return [*_packed_rejects(), *_text_rejects()]


def _packed_rejects() -> list[dict[str, Any]]:
    good = {name: bytes.fromhex(value) for name, value in packed([frame("p1", 1, 2)]).items()}

    def meta(seq: int = 1, aspect: float = 1.0, flags: int = 1) -> bytes:
        return struct.pack("<QqfI", seq, 2, aspect, flags)

    def points(value: float) -> bytes:
        return struct.pack("<63f", *[value] * 63)

    changed: list[tuple[str, str, dict[str, bytes]]] = [
        ("meta cut short", "bad_length", {"m": good["m"][:-1]}),
        ("landmarks of 20 points", "bad_length", {"l": good["l"][:-12]}),
        ("two sessions, one frame", "bad_length", {"s": b"p1 p2"}),
        ("nothing at all", "bad_length", {"s": b"", "m": b"", "l": b""}),
        ("seq over 2**63-1", "bad_seq", {"m": meta(seq=2**63)}),
        ("aspect 0", "bad_aspect", {"m": meta(aspect=0.0)}),
        ("aspect NaN", "bad_aspect", {"m": meta(aspect=float("nan"))}),
        ("an unknown flag", "bad_flags", {"m": meta(flags=8)}),
        ("landmarks NaN", "not_finite", {"l": points(float("nan"))}),
        ("landmarks infinite", "not_finite", {"l": points(float("-inf"))}),
        ("landmarks over 1e9", "not_finite", {"l": points(1.1e9)}),
    ]
    cases = [_case(name, reason, {**good, **change}) for name, reason, change in changed]
    cases += [_case(name, reason, fields) for name, reason, fields in _rejected_encodings(good)]
    return [*cases, _case("no field m", "unknown_encoding", {k: v for k, v in good.items() if k != "m"})]


def _rejected_encodings(good: dict[str, bytes]) -> list[tuple[str, str, dict[str, bytes]]]:
    step = {"s": good["s"], "m": good["m"], "c": bytes(84)}
    return [
        ("compact landmarks of 20 points", "bad_length", {**step, "c": bytes(80)}),
        ("compact landmarks under the name of full ones", "bad_length", {**good, "l": bytes(84)}),
        ("compact and full landmarks", "unknown_encoding", {**good, "c": bytes(84)}),
        ("reply channel with a colon", "bad_reply_to", {**good, "r": b"a:b"}),
        ("reply channel of 65 characters", "bad_reply_to", {**step, "r": b"x" * 65}),
        ("reply channel without a name", "bad_reply_to", {**good, "r": b""}),
        ("settings that are no JSON", "bad_settings", {**good, "o": b"{"}),
        ("settings of no frame", "bad_settings", {**good, "o": b'{"1":{}}'}),
        ("settings of a wrong kind", "bad_settings", {**step, "o": b'{"0":{"repeat_ms":"300"}}'}),
    ]


def _case(name: str, reason: str, fields: dict[str, bytes]) -> dict[str, Any]:
    return {"name": name, "reason": reason, "fields": {key: value.hex() for key, value in fields.items()}}


def _text_rejects() -> list[dict[str, Any]]:
    good = frame("p1", 1, 2)
    changed: list[tuple[str, str, dict[str, Any]]] = [
        ("session with a space", "bad_session", {"session": "p 1"}),
        ("session with a newline at its end", "bad_session", {"session": "p1\n"}),
        ("session of 65 characters", "bad_session", {"session": "x" * 65}),
        ("session not ASCII", "bad_session", {"session": "spiel\u00e4r"}),
        ("seq negative", "bad_seq", {"seq": -1}),
        ("seq not an integer", "bad_seq", {"seq": 1.5}),
        ("seq as a string", "bad_seq", {"seq": "1"}),
        ("seq true", "bad_seq", {"seq": True}),
        ("t missing", "bad_time", {"t": None}),
        ("aspect as a string", "bad_aspect", {"aspect": "1.0"}),
        ("aspect too large", "bad_aspect", {"aspect": 100.5}),
        ("hand neither left nor right", "bad_flags", {"hand": "both"}),
        ("settings with an unknown name", "bad_settings", {"settings": {"settle": 3}}),
        ("settings below their bounds", "bad_settings", {"settings": {"settle_evidence": 99}}),
        ("settings above their bounds", "bad_settings", {"settings": {"threshold": 1.5}}),
        ("settings not an integer", "bad_settings", {"settings": {"repeat_ms": 300.5}}),
        ("settings with an unknown action", "bad_settings", {"settings": {"actions": {"like": "jump"}}}),
        ("settings with an unknown hand", "bad_settings", {"settings": {"actions": {"both:like": "up"}}}),
        ("settings as a list", "bad_settings", {"settings": []}),
        ("20 landmarks", "bad_landmarks", {"landmarks": hand()[:20]}),
        ("a point of four", "bad_landmarks", {"landmarks": [[0.0] * 4] * 21}),
        ("a landmark over 1e9", "not_finite", {"landmarks": [[2e9, 0.0, 0.0]] * 21}),
    ]
    cases = [
        {"name": n, "reason": reason, "json": json.dumps({**good, **change})} for n, reason, change in changed
    ]
    nan = json.dumps({**good, "landmarks": [[float("nan"), 0.0]] * 21})
    raw = [("not JSON", "bad_json", "{"), ("an empty list", "bad_json", "[]"), ("a number", "bad_json", "17")]
    raw.append(("a landmark NaN", "not_finite", nan))
    return cases + [{"name": n, "reason": reason, "json": text} for n, reason, text in raw]


NOTES = {
    "frames": "packed: fields s, m, l as hex; compact: field c as hex, which replaces l, or null where a "
    "coordinate is outside -1 to 3; text: a value of the field json. Numbers go up to 2**63-1.",
    "partitions": "partition = crc32(session as UTF-8) mod P.",
    "replies": "bytes published on the channel (P = 16), and what they mean.",
    "settings": "frames with settings of their session, and the value of the field o (compare it parsed).",
    "rejects": "entries that the pool rejects; fields are hex, json is a value of the field json.",
}
CASES = {
    "frames": frame_cases,
    "partitions": partition_cases,
    "replies": reply_cases,
    "settings": settings_cases,
    "rejects": reject_cases,
}


def main() -> None:
    for name, cases in CASES.items():
        text = json.dumps({"wire": 1, "note": NOTES[name], "cases": cases()}, indent=1) + "\n"
        (HERE / f"{name}.json").write_text(text)


if __name__ == "__main__":
    main()
