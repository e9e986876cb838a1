"""An untrusted bundle is first proven in a child process, which rejects one that is too costly."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gesture_maze.models.bundle import MAX_ZIP_BYTES, MODEL, Bundle, ModelReason
from gesture_maze.models.proof import prove
from gesture_maze.wire.errors import ModelError
from tests.support.bundles import bundled, damaged, disturbed, sealed, wrong


def costly(*nodes: Any, **constants: Any) -> Bundle:
    """Return the bundled model with nodes inserted between its softmax (renamed `raw`) and its output."""
    good = bundled()
    model = onnx.load_from_string(good.model)
    for node in model.graph.node:
        node.output[:] = ["raw" if name == "probabilities" else name for name in node.output]
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    model.graph.node.extend(nodes)
    return sealed(good.files | {MODEL: model.SerializeToString()})


def endless() -> Bundle:
    def value(name: str, kind: int, shape: list[int] | None) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["v", "z"], ["w"])],
        "body",
        [
            value("k", TensorProto.INT64, []),
            value("go", TensorProto.BOOL, []),
            value("v", TensorProto.FLOAT, None),
        ],
        [value("on", TensorProto.BOOL, []), value("w", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.float32(0), "z")],
    )  # fmt: skip
    loop = helper.make_node("Loop", ["trips", "yes", "raw"], ["probabilities"], body=body)
    return costly(loop, trips=np.int64(2**62), yes=np.bool_(True))


def hungry() -> Bundle:
    nodes = (
        helper.make_node("ReduceSum", ["aspect", "axis"], ["sum"], keepdims=1),
        helper.make_node("Expand", ["sum", "shape"], ["huge"]),
        helper.make_node("ReduceSum", ["huge", "axes"], ["all"], keepdims=0),
        helper.make_node("Mul", ["all", "zero"], ["nothing"]),
        helper.make_node("Add", ["raw", "nothing"], ["probabilities"]),
    )
    return costly(
        *nodes,
        axis=np.array([0]),
        axes=np.array([0, 1]),
        zero=np.float32(0),
        shape=np.array([1 << 16, 1 << 16]),
    )


def reason_of(data: bytes, **options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        prove(data, **options)
    return caught.value.reason


def test_prove_with_sound_bundle_passes() -> None:
    prove(bundled().to_zip())


def test_prove_of_a_proved_bundle_starts_no_second_process(monkeypatch: pytest.MonkeyPatch) -> None:
    prove(bundled().to_zip())
    monkeypatch.setattr("sys.executable", "/nonexistent")
    prove(bundled().to_zip())
    assert reason_of(disturbed(0.5).to_zip()) == ModelReason.TOO_COSTLY


def test_prove_with_endless_graph_raises_too_costly() -> None:
    assert reason_of(endless().to_zip()) == ModelReason.TOO_COSTLY


def test_prove_with_graph_exhausting_memory_is_rejected() -> None:
    found = reason_of(hungry().to_zip())
    assert found in (ModelReason.BAD_GRAPH, ModelReason.TOO_COSTLY)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", ModelReason.NOT_A_BUNDLE),
        (bytes(MAX_ZIP_BYTES + 1), ModelReason.TOO_LARGE),
        (wrong().to_zip(), ModelReason.SELF_TEST),
    ],
)
def test_prove_with_bad_bundle_raises_reason_of_child(data: bytes, reason: str) -> None:
    assert reason_of(data) == reason


def test_prove_with_damaged_zip_is_rejected() -> None:
    assert reason_of(damaged(bundled())) in (ModelReason.NOT_A_BUNDLE, ModelReason.HASH_MISMATCH)
