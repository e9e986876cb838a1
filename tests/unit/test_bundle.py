"""A valid bundle loads and classifies, and an invalid one is refused with its reason."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable

import numpy as np
import pytest

from gesture_maze.lifecycle.promotion import from_path
from gesture_maze.models.bundle import (
    CARD,
    GOLDEN,
    MANIFEST,
    MAX_ZIP_BYTES,
    MODEL,
    SIZE_LIMITS_BYTES,
    Bundle,
    ModelReason,
    bundled_path,
    load_bundle,
    load_zip,
    verify_files,
)
from gesture_maze.models.classifier import SLICE_ROWS, Classifier
from gesture_maze.models.golden import Golden
from gesture_maze.models.manifest import Manifest, model_digest
from gesture_maze.models.train.card import ROWS
from gesture_maze.wire.errors import ModelError
from gesture_maze.wire.gestures import GESTURES

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def good() -> Bundle:
    return load_bundle(bundled_path())


@pytest.fixture(scope="module")
def classifier(good) -> Classifier:
    return Classifier.from_bundle(good)


def zipped(files: Files) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def resealed(files: Files, **changes: object) -> Files:
    """Return the files with a manifest that matches them again, as an attacker would write it."""
    raw = json.loads(files[MANIFEST]) | changes
    raw["files"] = {name: hashlib.sha256(files[name]).hexdigest() for name in (MODEL, GOLDEN, CARD)}
    try:
        digest = model_digest(Manifest.model_validate(raw))
        raw["model_version"] = f"mlp-{digest}"
    except ValueError:
        pass  # the change itself is the fault under test
    return files | {MANIFEST: json.dumps(raw).encode()}


def reason_of(call: Callable[[], object]) -> str:
    with pytest.raises(ModelError) as caught:
        call()
    assert not str(caught.value).endswith(".")
    return caught.value.reason


def test_bundled_model_version_is_its_content_digest(good):
    assert good.version == f"mlp-{model_digest(good.manifest)}"
    assert good.manifest.labels == GESTURES
    assert good.version in good.card
    assert "hukenovs/hagrid" in good.card
    assert sum(map(len, good.files.values())) < 1_000_000


def test_bundled_model_evaluation_meets_its_limits(good):
    held_out = good.manifest.evaluation["held_out"]
    assert held_out.accuracy >= 0.975
    assert held_out.ece <= 0.02
    assert good.manifest.evaluation["mirrored"].accuracy == held_out.accuracy


def test_bundle_as_folder_or_zip_has_the_same_files(good, tmp_path):
    packed = good.to_zip()
    assert packed == load_zip(packed).to_zip()
    file = tmp_path / "bundle.zip"
    file.write_bytes(packed)
    assert load_bundle(file).files == good.files
    good.write(tmp_path / "folder")
    assert load_bundle(tmp_path / "folder").files == good.files


@pytest.mark.parametrize("read", [load_bundle, from_path])
def test_folder_without_a_manifest_is_not_a_bundle(tmp_path, read):
    (tmp_path / "END").touch()
    with pytest.raises(ModelError, match=f"{tmp_path} is not a model bundle: it has no manifest.json"):
        read(tmp_path)


def test_bundled_card_names_each_set_of_figures_as_the_card_writer_does(good):
    assert set(good.manifest.evaluation) == set(ROWS)
    lines = good.card.splitlines()
    for name, figures in good.manifest.evaluation.items():
        start = f"| {ROWS[name]} | {figures.rows} | {figures.accuracy:.4f} |"
        assert any(line.startswith(start) for line in lines), start


def test_classify_in_a_batch_or_alone_gives_equal_answers(classifier):
    rng = np.random.default_rng(5)
    landmarks = rng.random((2 * SLICE_ROWS + 3, 21, 3), np.float32)
    aspect = rng.uniform(0.5, 2.0, len(landmarks)).astype(np.float32)
    labels, confidence = classifier.classify(landmarks, aspect)
    probabilities = classifier.probabilities(landmarks, aspect)
    assert (labels.dtype, confidence.dtype, probabilities.dtype) == (np.int64, np.float32, np.float32)
    assert (labels == probabilities.argmax(axis=1)).all()
    # compiled wheels compute the last three in C
    np.testing.assert_allclose(confidence, probabilities.max(axis=1), rtol=0, atol=1e-5)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(len(landmarks)), abs=1e-5)
    for row in (0, SLICE_ROWS, len(landmarks) - 1):
        alone = classifier.probabilities(landmarks[row : row + 1], aspect[row : row + 1])
        assert alone[0] == pytest.approx(probabilities[row], abs=1e-5)


def test_classify_without_frames_returns_empty_arrays(classifier):
    labels, confidence = classifier.classify(np.zeros((0, 21, 3), np.float32), np.zeros(0, np.float32))
    assert (len(labels), len(confidence)) == (0, 0)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-3, 1e9])
def test_probabilities_of_extreme_hands_are_finite(classifier, scale):
    landmarks = np.float32(scale) * np.random.default_rng(6).random((4, 21, 3), np.float32)
    probabilities = classifier.probabilities(landmarks, np.full(4, 100.0, np.float32))
    assert np.isfinite(probabilities).all()


def test_probabilities_of_a_mirrored_moved_scaled_hand_are_unchanged(classifier, good):
    landmarks, aspect = good.golden.landmarks, good.golden.aspect
    altered = landmarks * np.array([-3.0, 3.0, 0.0], np.float32) + np.float32(0.5)
    expected = classifier.probabilities(landmarks, aspect)
    assert classifier.probabilities(altered, aspect) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", [MODEL, GOLDEN, CARD])
def test_verify_files_with_a_flipped_byte_raises_hash_mismatch(good, name):
    data = bytearray(good.files[name])
    data[len(data) // 2] ^= 1
    assert reason_of(lambda: verify_files(good.files | {name: bytes(data)})) == ModelReason.HASH_MISMATCH


@pytest.mark.parametrize("name", list(SIZE_LIMITS_BYTES))
def test_load_zip_without_a_file_raises_missing_file(good, name):
    files = {key: data for key, data in good.files.items() if key != name}
    assert reason_of(lambda: load_zip(zipped(files))) == ModelReason.MISSING_FILE


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format_version": 3}, ModelReason.FORMAT_VERSION),
        ({"format_version": None}, ModelReason.FORMAT_VERSION),
        ({"labels": sorted(GESTURES), "numbers": list(range(19))}, ModelReason.LABELS),
        ({"labels": [*GESTURES, "wave"], "numbers": list(range(20))}, ModelReason.BAD_GOLDEN),
        ({"labels": [*GESTURES[1:], "wave hand"]}, ModelReason.LABELS),
        ({"labels": ["like"]}, ModelReason.LABELS),
        ({"labels": [f"own{k}" for k in range(65)]}, ModelReason.LABELS),
        ({"labels": ["like", "like"]}, ModelReason.LABELS),
        ({"numbers": list(range(1, 20))}, ModelReason.LABELS),
        ({"numbers": [True] * 19}, ModelReason.BAD_MANIFEST),
        ({"numbers": [{}]}, ModelReason.BAD_MANIFEST),
        ({"format_version": 2, "inputs": None}, ModelReason.BAD_MANIFEST),
        ({"format_version": 2, "inputs": {"coordinates": ["w"]}}, ModelReason.BAD_MANIFEST),
        ({"thresholds": {"act": 1.5}}, ModelReason.BAD_MANIFEST),
        ({"thresholds": {"act": float("nan")}}, ModelReason.BAD_MANIFEST),
        ({"surprise": 1}, ModelReason.BAD_MANIFEST),
    ],
)
def test_manifest_with_invalid_values_is_refused(good, changes, reason):
    assert reason_of(lambda: verify_files(resealed(good.files, **changes))) == reason


def test_bundle_of_format_1_gets_published_numbers_and_measured_inputs(good):
    first = verify_files(resealed(good.files, format_version=1, inputs=None, numbers=[]))
    assert first.manifest.numbers == tuple(range(19))
    assert first.version != good.version, "the declared inputs are part of what a version stands for"
    assert not Classifier.from_bundle(first).needs_depth


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\x80\x04.", b"[" * 100_000])
def test_manifest_that_is_not_a_json_object_is_refused(good, data):
    found = reason_of(lambda: verify_files(good.files | {MANIFEST: data}))
    assert found in (ModelReason.BAD_MANIFEST, ModelReason.FORMAT_VERSION)


def test_manifest_with_a_changed_threshold_raises_version_mismatch(good):
    raw = json.loads(good.files[MANIFEST]) | {"thresholds": {"act": 0.1}}
    files = good.files | {MANIFEST: json.dumps(raw).encode()}
    assert reason_of(lambda: verify_files(files)) == ModelReason.VERSION_MISMATCH


@pytest.mark.parametrize(
    "name",
    ["model.pkl", "../model.onnx", "/etc/passwd", "sub/model.onnx", "sub/", "model.onnx\\..", "x" * 300],
)
def test_load_zip_with_an_unexpected_name_is_refused(good, name):
    files = good.files | {name: pickle.dumps({"a": 1})}
    assert reason_of(lambda: load_zip(zipped(files))) == ModelReason.UNEXPECTED_FILE


def test_load_bundle_with_an_additional_pickle_is_refused(good, tmp_path):
    good.write(tmp_path)
    (tmp_path / "svc.pkl").write_bytes(pickle.dumps([1]))
    assert reason_of(lambda: load_bundle(tmp_path)) == ModelReason.UNEXPECTED_FILE


def test_pickle_in_place_of_the_graph_is_not_executed(good, tmp_path):
    class Harm:
        def __reduce__(self):
            return (tmp_path.joinpath("harm").write_text, ("done",))

    files = resealed(good.files | {MODEL: pickle.dumps(Harm())})
    assert reason_of(lambda: Classifier.from_bundle(verify_files(files))) == ModelReason.BAD_GRAPH
    assert not (tmp_path / "harm").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_load_zip_with_a_duplicate_name_is_refused(good):
    out = io.BytesIO(zipped(good.files))
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(MODEL, b"another")
    assert reason_of(lambda: load_zip(out.getvalue())) == ModelReason.UNEXPECTED_FILE


def test_load_zip_of_a_zip_bomb_is_refused(good):
    bomb = zipped(good.files | {GOLDEN: bytes(SIZE_LIMITS_BYTES[GOLDEN] * 4)})
    assert len(bomb) < 1_000_000
    assert reason_of(lambda: load_zip(bomb)) == ModelReason.TOO_LARGE


def test_bundle_over_a_size_limit_is_refused(good, tmp_path):
    good.write(tmp_path)
    (tmp_path / CARD).write_bytes(bytes(SIZE_LIMITS_BYTES[CARD] + 1))
    assert reason_of(lambda: load_bundle(tmp_path)) == ModelReason.TOO_LARGE
    assert reason_of(lambda: load_zip(bytes(MAX_ZIP_BYTES + 1))) == ModelReason.TOO_LARGE


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x05\x06" + bytes(18) + b"x", b"\x80\x04.", bytes(1000)])
def test_load_zip_of_other_data_is_refused(data):
    assert reason_of(lambda: load_zip(data)) in (ModelReason.NOT_A_BUNDLE, ModelReason.MISSING_FILE)


def test_load_zip_of_truncated_or_lzma_data_is_refused(good):
    whole = good.to_zip()
    assert reason_of(lambda: load_zip(whole[: len(whole) // 2])) == ModelReason.NOT_A_BUNDLE
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr(MODEL, b"x")
    assert reason_of(lambda: load_zip(out.getvalue())) == ModelReason.NOT_A_BUNDLE


def test_load_bundle_of_a_missing_or_empty_folder_names_the_reason(tmp_path):
    assert reason_of(lambda: load_bundle(tmp_path / "none")) == ModelReason.NOT_FOUND
    assert reason_of(lambda: load_bundle(tmp_path)) == ModelReason.MISSING_FILE


def test_graph_with_external_data_is_refused(good):
    files = resealed(good.files | {MODEL: good.model + b"\x0a\x08location"})
    assert reason_of(lambda: verify_files(files)) == ModelReason.EXTERNAL_DATA


@pytest.mark.parametrize("model", [b"", b"not a graph", b"\x08\x08"])
def test_graph_that_is_not_a_valid_model_is_refused(good, model):
    files = resealed(good.files | {MODEL: model})
    assert reason_of(lambda: Classifier.from_bundle(verify_files(files))) == ModelReason.BAD_GRAPH


def test_graph_with_other_outputs_is_refused(good):
    renamed = good.model.replace(b"probabilities", b"probabilitiez")
    files = resealed(good.files | {MODEL: renamed})
    assert reason_of(lambda: Classifier.from_bundle(verify_files(files))) == ModelReason.BAD_GRAPH


def test_golden_with_wrong_probabilities_fails_the_self_test(good):
    golden = good.golden
    wrong = Golden(golden.landmarks, golden.aspect, np.roll(golden.probabilities, 1, axis=1))
    files = resealed(good.files | {GOLDEN: wrong.to_json()})
    assert reason_of(lambda: Classifier.from_bundle(verify_files(files))) == ModelReason.SELF_TEST


@pytest.mark.parametrize(
    "golden",
    [
        b"[]",
        b"{}",
        b'{"landmarks": [], "aspect": [], "probabilities": []}',
        b'{"landmarks": [[1]], "aspect": [1], "probabilities": [[1]]}',
        b'{"landmarks": "x", "aspect": [1], "probabilities": [[1]]}',
        b'{"landmarks": [[1], [1, 2]], "aspect": [1], "probabilities": [[1]]}',
        b'{"landmarks": [NaN], "aspect": [1], "probabilities": [[1]]}',
        b'{"landmarks": [1e999], "aspect": [1], "probabilities": [[1]]}',
        b'{"landmarks": [' + b"9" * 400 + b'], "aspect": [1], "probabilities": [[1]]}',
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_golden_with_invalid_content_is_refused(good, golden):
    files = resealed(good.files | {GOLDEN: golden})
    assert reason_of(lambda: verify_files(files)) == ModelReason.BAD_GOLDEN


def test_golden_written_to_json_is_read_back_equal(good):
    again = Golden.from_json(good.golden.to_json())
    assert again.probabilities == pytest.approx(good.golden.probabilities, abs=1e-6)
    assert (again.landmarks == good.golden.landmarks).all()


def test_bundled_names_the_default_bundle_for_promotion_and_loading() -> None:
    from pathlib import Path

    from gesture_maze.lifecycle.promotion import from_path

    data = from_path("bundled")
    assert data is not None
    default = load_bundle(bundled_path()).version
    assert load_zip(data).version == load_bundle(Path("bundled")).version == default
