"""models/native.c gives what numpy gives, and touches no memory of others, whatever it is called with."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesture_maze.models import plain
from gesture_maze.models.plain import PlainNetwork
from tests.support.bundles import bundled
from tests.support.observed import ROOT
from tests.support.servers import absent

SOURCE = ROOT / "gesture_maze" / "models" / "native.c"
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
BUNDLE = bundled()
CLOSE = 2e-5

FUZZ = """
import importlib.util, random, sys
from array import array

spec = importlib.util.spec_from_file_location("native", sys.argv[1])
native = importlib.util.module_from_spec(spec)
spec.loader.exec_module(native)
chosen, done = random.Random(1), 0
numbers = array("f", chosen.choices((0.0, 1.0, -2.5, 1e30, -1e-30, float("nan")), k=20_000))
def floats(count):
    begin = chosen.randrange(len(numbers) - count)
    return numbers[begin:begin + count]
for turn in range(5_000):
    units, labels, hands = chosen.choice((0, 1, 5, 31, 32, 33, 70)), chosen.randrange(70), chosen.randrange(5)
    wide_units, wide_labels = -(-units // 32) * 32, -(-labels // 32) * 32
    sizes = [96 * 63, wide_units * 68, wide_labels * units, hands * 63, hands, hands]
    if turn % 2:
        sizes[chosen.randrange(6)] += chosen.choice((-68, -32, -1, 1, 32, 63))
    if turn % 5 == 0:
        labels = chosen.choice((labels - 100, labels - 1, labels + 1, labels + 32, (1 << 63) - 1))
    *most, found = [floats(max(size, 0)) for size in sizes]
    number = array("q", bytes(8 * max(hands + chosen.choice((0, 0, 0, -1, 1)), 0)))
    if turn % 7 == 0:
        place, shift = chosen.randrange(5), chosen.randrange(1, 4)
        most[place] = memoryview(bytes(shift) + most[place].tobytes())[shift:]
    try:
        native.classify(*most[:3], labels, *most[3:], number, found)
        done += 1
        assert min(number, default=0) >= 0
    except ValueError:
        pass
assert 500 < done < 4_500, done
"""


def built(folder: Path, *flags: str) -> Path:
    """Return the extension, built with the flags of hatch_build.py and some more."""
    headers = sysconfig.get_path("include")
    if shutil.which("cc") is None:
        absent("cc")
    if not Path(headers, "Python.h").exists():
        absent("Python.h")
    library = folder / f"native{sysconfig.get_config_var('EXT_SUFFIX')}"
    strict = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-shared", "-fPIC")
    command = ["cc", *strict, "-O3", *flags, f"-I{headers}", str(SOURCE), "-o", str(library), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return library


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    path = built(tmp_path_factory.mktemp("native"))
    spec = importlib.util.spec_from_file_location("native", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def network(native: ModuleType, monkeypatch: pytest.MonkeyPatch) -> PlainNetwork:
    """The bundled network, which computes few hands in C."""
    monkeypatch.setattr(plain, "classify_few", native.classify)
    found = PlainNetwork.of(BUNDLE.model)
    assert found is not None
    return found


def assert_equal_to_numpy(
    network: PlainNetwork, landmarks: npt.NDArray[Any], aspect: npt.NDArray[Any]
) -> None:
    """Compare label and probability of each hand with those of the probabilities, which numpy computes."""
    wanted = network.probabilities(landmarks.astype(np.float32), aspect.astype(np.float32))
    for begin in range(0, len(landmarks), plain.FEW_ROWS):
        part = slice(begin, begin + plain.FEW_ROWS)
        labels, found = network.classify(landmarks[part], aspect[part])
        np.testing.assert_allclose(found, wanted[part].max(axis=1), rtol=0, atol=CLOSE)
        # of two that are equally likely either may be given
        chosen = wanted[part][np.arange(len(labels)), labels]
        np.testing.assert_allclose(chosen, wanted[part].max(axis=1), rtol=0, atol=CLOSE)


@pytest.mark.parametrize(
    "change",
    [
        lambda points: points,
        lambda points: points * [-1, 1, 1],
        lambda points: points * 0,
        lambda points: points * 1e8,
        lambda points: points * 1e-12,
        lambda points: points[:, ::-1],
        lambda points: points.astype(np.float64),
    ],
    ids=("golden", "mirrored", "zeros", "far out", "tiny", "not contiguous", "doubles"),
)
def test_native_network_equals_numpy(
    network: PlainNetwork, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
) -> None:
    golden = BUNDLE.golden
    landmarks = change(golden.landmarks)
    assert_equal_to_numpy(network, landmarks, golden.aspect)
    assert_equal_to_numpy(network, landmarks, golden.aspect[::-1])


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([0.05, 0.3, 1.0, 4.0]), aspect=st.floats(0.2, 5.0)
)
def test_native_network_equals_numpy_on_random_points(
    native: ModuleType, seed: int, scale: float, aspect: float
) -> None:
    points = np.random.default_rng(seed).normal(0.5, scale, (3, 21, 3)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain, "classify_few", native.classify)
        network = PlainNetwork.of(BUNDLE.model)
        assert network is not None
        assert_equal_to_numpy(network, points, np.full(3, aspect, np.float32))


def test_native_network_gives_nan_for_nan(network: PlainNetwork) -> None:
    landmarks = np.full((1, 21, 3), np.nan, np.float32)
    assert np.isnan(network.classify(landmarks, np.ones(1, np.float32))[1]).all()


def test_native_network_with_every_sanitizer_rejects_or_computes_any_arrays(tmp_path: Path) -> None:
    library = built(tmp_path, *SANITIZED)
    runtime = subprocess.run(
        ["cc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(runtime).is_file():
        absent("libasan")
    # Python itself leaves memory to the end of the process
    changed = {"LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, str(library)], env=os.environ | changed, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
