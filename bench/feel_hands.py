"""The hands that `feel.py` uses: clips of captures, and simulated players."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from gesture_maze.capture.reader import CaptureReader
from gesture_maze.models.classifier import Classifier
from gesture_maze.simulator.players import PlayerHands
from gesture_maze.wire.frames import HAND
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, GESTURES, LABELS
from gesture_maze.wire.replies import CONFIDENCE_STEPS, MOVES
from gesture_maze.worker.places import places_of

FRAME_MS = 33
ACTION_OF = [MOVES.index(DEFAULT_ACTIONS.get(name)) for name in GESTURES]
LEAST_SHOWN_MS = 600
"""Shorter starts are not counted."""
CHANGES = 3000
CHAINS, CLIPS_PER_CHAIN = 30, 45
TURN_FRAMES = 6
"""Frames for which the camera follows one of two people before it follows the other."""


@dataclass(frozen=True)
class Track:
    """Frames of one player.

    Attributes:
        ms: when each frame was captured.
        actions: code of the action that the model reads.
        confidences: in thousandths.
        asked: code of the action that the player was asked for.
        places, sizes: of the hands, as `worker.places.places_of` finds them.
    """

    ms: list[int]
    actions: list[int]
    confidences: list[int]
    asked: list[int]
    places: list[complex]
    sizes: list[float]

    def every(self, step: int, phase: int) -> Track:
        """Return the track as a slower camera would see it."""
        take = slice(phase, None, step)
        return Track(*(values[take] for values in vars(self).values()))


@dataclass(frozen=True)
class Start:
    """One gesture that stands for an action."""

    action: int
    before: int
    begin_ms: int
    onset_ms: int
    end_ms: int


@dataclass(frozen=True)
class Source:
    """Tracks of one kind of hands, by use."""

    starts: list[Track]
    changes: list[Track]
    negatives: list[Track]


def read(
    classifier: Classifier, ms: Sequence[int], hands: list[Any], aspect: Sequence[float], asked: list[int]
) -> Track:
    """Classify the hands of one player and return the track. None means no hand."""
    seen = np.array([hand is not None for hand in hands])
    landmarks = np.zeros((len(hands), 21, 3), np.float32)
    for row in np.flatnonzero(seen):
        landmarks[row] = hands[row]
    labels, confidences = classifier.classify(landmarks, np.array(aspect, np.float32))
    actions = np.where(seen, np.array(ACTION_OF)[labels], 0)
    steps = np.where(seen, np.rint(confidences * CONFIDENCE_STEPS), 0).astype(int)
    return Track(list(ms), actions.tolist(), steps.tolist(), asked, *places_of(landmarks))


def recorded(paths: Sequence[Path], skip: set[str], classifier: Classifier) -> list[Track]:
    """Return the labelled clips of captures."""
    clips: dict[str, list[Any]] = {}
    for path in paths:
        with CaptureReader(path) as reader:
            for line in reader.frames():
                if line.frame.session not in skip and "label" in line.values:
                    clips.setdefault(f"{path}:{line.frame.session}", []).append(line)
    return [
        read(
            classifier,
            [line.frame.captured_ms for line in lines],
            [line.frame.landmarks for line in lines],
            [line.frame.aspect for line in lines],
            [ACTION_OF[LABELS[line.values["label"]]] for line in lines],
        )
        for lines in clips.values()
    ]


def joined(clips: Sequence[Track]) -> Track:
    """Return clips one after the other."""
    ms: list[int] = []
    for clip in clips:
        begin = ms[-1] + FRAME_MS if ms else 0
        ms += [begin + at - clip.ms[0] for at in clip.ms]
    columns = zip(*(list(vars(clip).values())[1:] for clip in clips), strict=True)
    return Track(ms, *([value for part in parts for value in part] for parts in columns))


def spliced(clips: list[Track], seed: int = 1) -> Source:
    """Return starts from single clips, changes from pairs of them and negatives from chains of them."""
    rng = random.Random(seed)
    showing = [clip for clip in clips if clip.asked[0]]
    others = [clip for clip in clips if not clip.asked[0]]
    changes: list[Track] = []
    while len(changes) < CHANGES:
        before, after = rng.choice(clips), rng.choice(showing)
        if before.asked[0] != after.asked[0]:
            changes.append(joined([before, after]))
    chains = [joined(rng.choices(others, k=CLIPS_PER_CHAIN)) for _ in range(CHAINS)] if others else []
    return Source(showing, changes, chains)


def simulated(classifier: Classifier, players: int = 60, seconds: int = 60) -> Source:
    """Return players who change their gesture every 1.2 to 2.5 s. Half of their gestures are actions."""
    others = [name for name in GESTURES if name not in DEFAULT_ACTIONS]
    mixed = [*list(DEFAULT_ACTIONS) * 3, *others]
    playing = _players(classifier, mixed, players, seconds, seed=1)
    return Source(playing, playing, _players(classifier, others, players, seconds // 2, seed=2))


def _players(classifier: Classifier, names: list[str], players: int, seconds: int, seed: int) -> list[Track]:
    hands = PlayerHands(players, seed, 30)
    rng = np.random.default_rng(seed)
    choices = np.array([LABELS[name] for name in names])
    targets, until_ms = rng.choice(choices, players), rng.uniform(1200, 2500, players)
    times, shown, asked = [], [], []
    for tick in range(seconds * 30):
        now_ms = tick * 1000 // 30
        for row in np.flatnonzero(now_ms >= until_ms):
            targets[row] = rng.choice(choices[choices != targets[row]])
            until_ms[row] = now_ms + rng.uniform(1200, 2500)
        found = hands.step(now_ms, targets)
        seen = found.sent & (found.flags & HAND).astype(bool)
        times.append(now_ms)
        shown.append([hand if here else None for hand, here in zip(found.landmarks, seen, strict=True)])
        asked.append([ACTION_OF[label] for label in targets])
    aspect = [4 / 3] * len(times)
    columns = zip(zip(*shown, strict=True), zip(*asked, strict=True), strict=True)
    return [read(classifier, times, list(own), aspect, list(wanted)) for own, wanted in columns]


def two_people(classifier: Classifier, pairs: int = 20, seconds: int = 30) -> list[Track]:
    """Return pairs of players, one left and one right in the image, of whom the camera sees one at a time."""
    hands = PlayerHands(2 * pairs, 3, 30, dropped_share=0.0)
    targets = np.array([LABELS["like"], LABELS["four"]] * pairs)
    times = [tick * 1000 // 30 for tick in range(seconds * 30)]
    shown = []
    for now_ms in times:
        found = hands.step(now_ms, targets)
        found.landmarks[::2, :, 0] -= 0.25
        found.landmarks[1::2, :, 0] += 0.25
        shown.append(
            [hand if flag & HAND else None for hand, flag in zip(found.landmarks, found.flags, strict=True)]
        )
    turns = [tick // TURN_FRAMES % 2 for tick in range(len(times))]
    asked = [ACTION_OF[targets[turn]] for turn in turns]
    return [
        read(
            classifier,
            times,
            [hands_now[2 * pair + turn] for hands_now, turn in zip(shown, turns, strict=True)],
            [4 / 3] * len(times),
            asked,
        )
        for pair in range(pairs)
    ]


def starts_of(track: Track) -> Iterator[Start]:
    """Find the starts of a track at 30 frames/s."""
    row, before = 0, 0
    for action, frames in groupby(track.asked):
        end = row + len(list(frames))
        if action and action != before:
            three = ((action,) * 3 == tuple(track.actions[at : at + 3]) for at in range(row, end - 2))
            onset = next((row + at for at, found in enumerate(three) if found), None)
            if onset is not None and track.ms[end - 1] - track.ms[onset] >= LEAST_SHOWN_MS:
                yield Start(action, before, track.ms[row], track.ms[onset], track.ms[end - 1])
        row, before = end, action
