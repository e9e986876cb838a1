"""The only place where pickles are opened: a separate process, which turns two of them into plain arrays.

Run by `models.legacy.importer` as `python -m gesture_maze.models.legacy.child SVC SCALER LAYOUT VOTES PROBES
OUT`, and never imported by it. VOTES is 1 to ignore the SVC's own probabilities; PROBES is an .npy of hands
(n, 63), as `models.legacy.layout` orders them; OUT becomes an .npz of numbers and short strings with, among
them, scikit-learn's own answers for the probes. Refusals are one line on standard error and exit code 3.
"""

from __future__ import annotations

import resource
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.legacy.layout import Layout, column_places

CPU_S: Final = 60
FILE_BYTES: Final = 256 * 1024 * 1024
REFUSED: Final = 3


def main(svc_path: str, scaler_path: str, layout: str, votes: str, probes_path: str, out_path: str) -> int:
    """Convert both files and return the exit code."""
    # Against accidents (a pickle that loops, a file that fills the disk), not against a hostile pickle.
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    probes = np.load(probes_path, allow_pickle=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            svc, scaler = _load(svc_path), _load(scaler_path)
            facts = _facts(svc, scaler, Layout(layout), votes == "1", probes)
        except Exception as error:  # noqa: BLE001 - a pickle may raise anything
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            return REFUSED
    # only the warnings about versions: others are about our own use of private names
    noted = [str(one.message) for one in caught if "version" in type(one.message).__name__.lower()]
    with Path(out_path).open("wb") as file:
        np.savez(file, warnings=np.array(noted, np.str_), **facts)
    return 0


def _load(path: str) -> Any:
    import joblib

    return joblib.load(path)  # reads plain pickles too


def _facts(svc: Any, scaler: Any, layout: Layout, votes: bool, probes: NDArray[np.float64]) -> dict[str, Any]:
    from sklearn.preprocessing import MinMaxScaler
    from sklearn.svm import SVC

    from gesture_maze.models.onnx.svc import vectors_of

    for found, kind in ((svc, SVC), (scaler, MinMaxScaler)):
        if type(found) is not kind:
            raise TypeError(f"expected a fitted {kind.__name__}, found a {type(found).__name__}")
    vectors = vectors_of(svc)
    if votes:
        vectors = vectors.without_probabilities()
    names = [str(name) for name in getattr(scaler, "feature_names_in_", ())]
    places = column_places(int(scaler.n_features_in_), names, layout)
    rows = scaler.transform(probes[:, places])
    answers = svc.predict_proba(rows) if vectors.calibrated else svc.decision_function(rows)
    return {
        **asdict(vectors),
        "classes": np.array([str(one) for one in svc.classes_], np.str_),
        "places": np.array(places, np.int64),
        "scale": np.asarray(scaler.scale_, np.float64),
        "offset": np.asarray(scaler.min_, np.float64),
        "clip": np.array(scaler.feature_range if scaler.clip else (), np.float64),
        "predicted": np.array([str(one) for one in svc.predict(rows)], np.str_),
        "answers": np.asarray(answers, np.float64),
    }


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
