"""Bundles for tests: the bundled one under other versions, and broken ones."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import onnx
from onnx import numpy_helper

from gesture_maze.models.bundle import (
    CARD,
    GOLDEN,
    MANIFEST,
    MODEL,
    Bundle,
    bundled_path,
    load_bundle,
    verify_files,
)
from gesture_maze.models.classifier import Classifier
from gesture_maze.models.golden import make_golden
from gesture_maze.models.hands import Hands
from gesture_maze.models.manifest import Manifest, model_digest
from gesture_maze.models.runtime import OnnxNetwork


def bundled() -> Bundle:
    """Return the default bundle."""
    return load_bundle(bundled_path())


def sealed(files: dict[str, bytes], **changes: Any) -> Bundle:
    """Return the files with a matching manifest in which the given fields are changed."""
    raw = json.loads(files[MANIFEST]) | changes
    raw["files"] = {name: hashlib.sha256(files[name]).hexdigest() for name in (MODEL, GOLDEN, CARD)}
    kind = raw["model_version"].rpartition("-")[0]
    raw["model_version"] = f"{kind}-{model_digest(Manifest.model_validate(raw))}"
    return verify_files(files | {MANIFEST: json.dumps(raw).encode()})


def with_threshold(act: float) -> Bundle:
    """Return the default model with another threshold, and therefore another version."""
    good = bundled()
    return sealed(good.files, thresholds={"act": act})


def disturbed(scale: float) -> Bundle:
    """Return a valid bundle whose last layer's weights are multiplied by `scale`; 0 removes all knowledge."""
    good = bundled()
    graph = onnx.load_from_string(good.model)
    last = [node for node in graph.graph.node if node.op_type == "Gemm"][-1]
    for tensor in graph.graph.initializer:
        if tensor.name == last.input[1]:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * scale, tensor.name))
    files = good.files | {MODEL: graph.SerializeToString()}
    # The golden outputs are those of the changed model, so that the self-test passes.
    unchecked = Classifier.__new__(Classifier)
    unchecked.manifest = good.manifest
    unchecked._network = OnnxNetwork(files[MODEL])
    golden = make_golden(Hands(good.golden.landmarks, good.golden.aspect), unchecked.probabilities)
    return sealed(files | {GOLDEN: golden.to_json()})


def wrong() -> Bundle:
    """Return a complete bundle whose model does not reproduce its golden outputs."""
    return sealed(bundled().files | {GOLDEN: disturbed(0.5).files[GOLDEN]})


def damaged(bundle: Bundle) -> bytes:
    """Return the zip of the bundle with some bytes of the graph inverted."""
    data = bytearray(bundle.to_zip())
    middle = len(data) // 2
    for at in range(middle, middle + 64):
        data[at] ^= 0xFF
    return bytes(data)
