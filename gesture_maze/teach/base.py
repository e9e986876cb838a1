"""The network inside a bundle, which teaching builds on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from gesture_maze.models.bundle import BUNDLED, Bundle, ModelReason, load_bundle, load_zip
from gesture_maze.models.classifier import Classifier
from gesture_maze.models.features import FEATURES, features
from gesture_maze.models.golden import TOLERANCE
from gesture_maze.models.network import Network
from gesture_maze.wire.errors import ModelError

LAYERS: Final = 2
"""One hidden layer and the outputs."""


CHAMPION: Final = "champion"
"""Stands for the pool's champion; without a pool, for the bundled model."""


def load_base(name: str | Path, redis: str | None = None) -> tuple[Bundle, Network]:
    """Return a verified bundle and its network.

    Args:
        name: folder or zip of a bundle, `bundled` for the default one, or `champion`.
        redis: URL of the pool whose champion is meant; None for no pool.

    Raises:
        ModelError: the bundle is refused, or holds another kind of model (`bad_graph`).
        ConnectionLost: the pool cannot be reached.
    """
    bundle = _champion(redis) if str(name) == CHAMPION else load_bundle(Path(name))
    return bundle, network_of(bundle)


def _champion(redis: str | None) -> Bundle:
    if redis is not None:
        from gesture_maze.worker.redis.attach import attached
        from gesture_maze.worker.redis.registry import ModelRegistry

        with attached(redis) as client:
            registry = ModelRegistry(client)
            version = registry.roles().champion
            data = None if version is None else registry.bundle(version)
        if data is not None:
            return load_zip(data)
    return load_bundle(Path(BUNDLED))


def network_of(bundle: Bundle) -> Network:
    """Return the network that `models.onnx.graph.build_graph` made the graph of `bundle` from, in float64.

    Raises:
        ModelError: `bad_graph`, if the graph is not a network of one hidden layer on our features.
    """
    Classifier.from_bundle(bundle)  # check that the graph runs before it is analysed
    try:
        network = _read(bundle.model)
    except (IndexError, KeyError, ValueError):
        network = None
    if network is None or not _agrees(network, bundle):
        raise ModelError(
            ModelReason.BAD_GRAPH,
            f"{bundle.version} cannot be taught: a base is a model of `maze train` (kind mlp) or one that "
            "was taught before; --base bundled is one",
        )
    return network


def _read(model: bytes) -> Network | None:
    graph = onnx.load_from_string(model).graph
    constants = {one.name: numpy_helper.to_array(one).astype(np.float64) for one in graph.initializer}
    layers = [node for node in graph.node if node.op_type == "Gemm"][-LAYERS:]
    weights: list[NDArray[np.float64]] = [constants[node.input[1]] for node in layers]
    biases: list[NDArray[np.float64]] = [constants[node.input[2]] for node in layers]
    if len(layers) < LAYERS or weights[0].shape[0] != FEATURES:
        return None
    return Network(tuple(weights), tuple(biases))


def _agrees(network: Network, bundle: Bundle) -> bool:
    """Return whether the network gives the golden outputs of the bundle."""
    golden = bundle.golden
    found = network.probabilities(features(golden.landmarks, golden.aspect)).astype(np.float32)
    return found.shape == golden.probabilities.shape and golden.worst_difference(found) <= TOLERANCE
