"""The model bundle: its files, and how one is read without trusting it.

A bundle is a folder, or the same files at the top of one zip:

| file | what |
|---|---|
| `manifest.json` | `Manifest`: versions, labels, inputs, thresholds, figures, sha256 of the other files |
| `model.onnx` | the graph, features included: raw landmarks in, label and probabilities out |
| `golden.json` | `models.golden.Golden`: synthetic hands with the outputs to expect |
| `MODEL_CARD.md` | for people |

Nothing in it is code and nothing is unpickled, so a bundle may come from any source. Each file is opened
once, and the bytes that were read are the bytes that are hashed, parsed and run. The hashes guard against
damage and mix-ups; they are not a signature: a user who can write a bundle can also write its manifest.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from gesture_maze.models.golden import Golden
from gesture_maze.models.labels import default_numbers, label_faults
from gesture_maze.models.manifest import FORMAT_VERSION, READABLE_VERSIONS, Manifest, model_digest
from gesture_maze.wire.errors import ModelError

MANIFEST: Final = "manifest.json"
MODEL: Final = "model.onnx"
GOLDEN: Final = "golden.json"
CARD: Final = "MODEL_CARD.md"

SIZE_LIMITS_BYTES: Final[dict[str, int]] = {
    MANIFEST: 256 * 1024,
    MODEL: 32 * 1024 * 1024,
    GOLDEN: 4 * 1024 * 1024,
    CARD: 256 * 1024,
}
"""The files of a bundle and the largest size of each. A worker keeps a bundle in memory while it loads it,
and 32 MiB is a hundred times what the default model needs."""

MAX_ZIP_BYTES: Final = 40 * 1024 * 1024
"""Largest size of a zipped bundle: a little above the sum of `SIZE_LIMITS_BYTES`."""

_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)
"""Fixed time of every member, so that one bundle always gives one zip, byte for byte."""


class ModelReason(StrEnum):
    """Why a bundle, or a model about to become one, is refused. Closed."""

    NOT_FOUND = "not_found"
    """There is no such folder or file."""
    NOT_A_BUNDLE = "not_a_bundle"
    """The file is not a readable zip."""
    MISSING_FILE = "missing_file"
    """One of the four files is not there."""
    UNEXPECTED_FILE = "unexpected_file"
    """Something is there that no bundle has (a pickle, a folder, a path that leaves the bundle)."""
    TOO_LARGE = "too_large"
    """A file is over its limit in `SIZE_LIMITS_BYTES`, packed or unpacked."""
    BAD_MANIFEST = "bad_manifest"
    """The manifest is not JSON or violates its schema."""
    FORMAT_VERSION = "format_version"
    """The bundle was written for another version of this program."""
    LABELS = "labels"
    """The labels or their numbers are not a label set, see `models.labels`."""
    HASH_MISMATCH = "hash_mismatch"
    """A file's bytes do not have the sha256 that the manifest names."""
    VERSION_MISMATCH = "version_mismatch"
    """The model version does not follow from the content."""
    EXTERNAL_DATA = "external_data"
    """The graph keeps weights outside its own file."""
    BAD_GOLDEN = "bad_golden"
    """The golden hands cannot be read or have wrong shapes."""
    BAD_GRAPH = "bad_graph"
    """ONNX Runtime refuses the graph, or its inputs and outputs are not those of a bundle."""
    TOO_COSTLY = "too_costly"
    """Loading or testing it takes more time or memory than any model should."""
    SELF_TEST = "self_test"
    """The model does not give the golden outputs on this machine."""
    TRAINING = "training"
    """A kind of classifier cannot be trained on the rows."""
    EXPORT_MISMATCH = "export_mismatch"
    """The exported graph and the trained model differ."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle, in memory."""

    manifest: Manifest
    model: bytes
    """The ONNX graph, serialised."""
    golden: Golden
    card: str
    """Markdown."""
    files: dict[str, bytes]
    """File name -> bytes, manifest included: what `to_zip` and `write` write."""

    @property
    def version(self) -> str:
        """The model version, such as `mlp-1a2b3c4d5e`."""
        return self.manifest.model_version

    def to_zip(self) -> bytes:
        """Return the bundle as one zip; the same bundle gives the same bytes."""
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name in SIZE_LIMITS_BYTES:
                member = zipfile.ZipInfo(name, _ZIP_TIME)
                archive.writestr(member, self.files[name], compress_type=zipfile.ZIP_DEFLATED)
        return out.getvalue()

    def write(self, folder: Path) -> None:
        """Write the files into `folder`, which is created if needed; files of the same names are replaced."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)


BUNDLED: Final = "bundled"
"""Stands for the default bundle wherever a path is expected. A folder of that name needs its full path."""


def bundled_path() -> Path:
    """Return the folder of the default bundle, which is part of the installation."""
    return Path(__file__).parent / "bundled"


def load_bundle(path: Path) -> Bundle:
    """Read and verify the bundle at `path`, a folder or a zip; `bundled` is the default one.

    Raises:
        ModelError: with a `ModelReason`; nothing of a refused bundle is used.
    """
    if str(path) == BUNDLED:
        path = bundled_path()
    if path.is_dir():
        return verify_files(_read_folder(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_ZIP_BYTES + 1)
    except FileNotFoundError:
        raise ModelError(ModelReason.NOT_FOUND, f"there is no model bundle at {path}") from None
    except OSError as error:
        raise ModelError(ModelReason.NOT_FOUND, f"cannot read the model bundle {path}: {error}") from None
    return load_zip(data)


def load_zip(data: bytes) -> Bundle:
    """Verify a zipped bundle from its bytes (as it is kept in Redis).

    Raises:
        ModelError: with a `ModelReason`.
    """
    if len(data) > MAX_ZIP_BYTES:
        raise ModelError(ModelReason.TOO_LARGE, f"the zipped bundle is over {MAX_ZIP_BYTES} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = _read_zip(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ModelError(ModelReason.NOT_A_BUNDLE, f"the bundle is not a readable zip: {error}") from None
    return verify_files(files)


def check_folder(folder: Path) -> None:
    """Refuse a folder without a manifest, whatever else is in it.

    Raises:
        ModelError: `missing_file`.
    """
    if not (folder / MANIFEST).exists():
        raise ModelError(ModelReason.MISSING_FILE, f"{folder} is not a model bundle: it has no {MANIFEST}")


def verify_files(files: dict[str, bytes]) -> Bundle:
    """Check the files of a bundle against each other and return them parsed.

    Args:
        files: file name -> bytes; exactly the four files of a bundle.

    Raises:
        ModelError: with a `ModelReason`.
    """
    for name in SIZE_LIMITS_BYTES:
        if name not in files:
            raise ModelError(ModelReason.MISSING_FILE, f"the bundle has no {name}")
    manifest = _parse_manifest(files[MANIFEST])
    for name in (MODEL, GOLDEN, CARD):
        found = hashlib.sha256(files[name]).hexdigest()
        if manifest.files.get(name) != found:
            raise ModelError(ModelReason.HASH_MISMATCH, f"{name} is damaged: its sha256 is {found}")
    if manifest.model_version.rpartition("-")[2] != model_digest(manifest):
        raise ModelError(
            ModelReason.VERSION_MISMATCH,
            f"manifest.json names {manifest.model_version}, but the content is {model_digest(manifest)}",
        )
    refuse_external_data(files[MODEL])
    try:
        golden = Golden.from_json(files[GOLDEN])
    except ValueError as error:
        raise ModelError(ModelReason.BAD_GOLDEN, f"golden.json cannot be used: {error}") from None
    if golden.probabilities.shape[1] != len(manifest.labels):
        raise ModelError(
            ModelReason.BAD_GOLDEN,
            f"golden.json has {golden.probabilities.shape[1]} probabilities per hand, not one for each of "
            f"{len(manifest.labels)} labels",
        )
    card = files[CARD].decode("utf-8", errors="replace")
    return Bundle(manifest, files[MODEL], golden, card, dict(files))


def refuse_external_data(model: bytes) -> None:
    """Refuse a graph that names files outside itself.

    ONNX keeps the file name of external weights under the key `location`, and protobuf writes a key as its
    plain bytes, so a graph without that word has no external data. The word in a doc string is refused too,
    which costs little; a parser for the whole format would be a larger surface than it guards.

    Raises:
        ModelError: `external_data`.
    """
    if b"location" in model:
        raise ModelError(
            ModelReason.EXTERNAL_DATA, "model.onnx refers to data outside the bundle; save it in one file"
        )


def _parse_manifest(data: bytes) -> Manifest:
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelError(ModelReason.BAD_MANIFEST, f"manifest.json is not JSON: {error}") from None
    # The format version is looked at before the schema: a newer format may well have another schema.
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if version not in READABLE_VERSIONS or isinstance(version, bool):
        raise ModelError(
            ModelReason.FORMAT_VERSION,
            f"the bundle has format {version!r}; this program reads 1 to {FORMAT_VERSION}. Export it again",
        )
    _check_labels(raw)
    try:
        return Manifest.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ModelError(ModelReason.BAD_MANIFEST, f"manifest.json: {where}: {first['msg']}") from None


def _check_labels(raw: dict[str, object]) -> None:
    """Refuse a wrong label set with its own reason; wrong types are left to the schema."""
    labels = raw.get("labels")
    if not isinstance(labels, list) or not all(isinstance(name, str) for name in labels):
        return
    numbers = raw.get("numbers") or default_numbers(labels)
    if not isinstance(numbers, list | tuple) or not all(type(number) is int for number in numbers):
        return
    fault = label_faults(labels, numbers)
    if fault:
        raise ModelError(ModelReason.LABELS, f"manifest.json: {fault}")


def _read_folder(folder: Path) -> dict[str, bytes]:
    check_folder(folder)
    files: dict[str, bytes] = {}
    try:
        for entry in sorted(folder.iterdir()):
            if entry.name.startswith("."):  # files that file managers leave behind
                continue
            limit = _limit_of(entry.name)
            if not entry.is_file():  # opening a pipe would block forever
                raise ModelError(ModelReason.UNEXPECTED_FILE, f"{entry} is not a plain file")
            with entry.open("rb") as file:
                data = file.read(limit + 1)
            files[entry.name] = _within(entry.name, data, limit)
    except OSError as error:
        raise ModelError(ModelReason.NOT_FOUND, f"cannot read the model bundle: {error}") from None
    return files


def _read_zip(archive: zipfile.ZipFile) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for member in archive.infolist():
        # Only the four plain names are accepted and nothing is written to disk, so no path can lead outside.
        limit = _limit_of(member.filename)
        if member.filename in files:
            raise ModelError(ModelReason.UNEXPECTED_FILE, f"the bundle has {member.filename!r} twice")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ModelError(ModelReason.NOT_A_BUNDLE, f"{member.filename} has an unsupported compression")
        # The declared size may be false: reading stops at the limit whatever the header says.
        with archive.open(member) as file:
            data = file.read(limit + 1)
        files[member.filename] = _within(member.filename, data, limit)
    return files


def _limit_of(name: str) -> int:
    limit = SIZE_LIMITS_BYTES.get(name)
    if limit is None:
        raise ModelError(ModelReason.UNEXPECTED_FILE, f"unexpected file {name!r} in the bundle")
    return limit


def _within(name: str, data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        raise ModelError(ModelReason.TOO_LARGE, f"{name} is over {limit} bytes")
    return data
