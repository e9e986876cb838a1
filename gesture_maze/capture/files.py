"""Capture files as streams of bytes: plain, gzip (`.gz`) or zstandard (`.zst`), told by the suffix."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final

from gesture_maze.wire.errors import SettingsError

GZIP_LEVEL: Final = 6
"""Frames shrink to a third; level 9 takes three times as long for 2 % less."""
BUFFER_BYTES: Final = 1 << 18
MAX_LINE_BYTES: Final = 1 << 20
"""As an entry on the wire; a longer line is taken for several, none of which is whole."""


def capture_error(sentence: str) -> SettingsError:
    """What every fault of a capture is raised as: reason `capture`."""
    return SettingsError("capture", sentence)


def open_lines(path: Path) -> IO[bytes]:
    """Open a capture for reading, unpacked.

    Raises:
        SettingsError: `capture`, if it cannot be opened or zstandard is not installed.
    """
    unpacker = _zstandard().ZstdDecompressor() if path.suffix == ".zst" else None
    try:
        if path.suffix == ".gz":
            return io.BufferedReader(_Gzip(gzip.GzipFile(path, "rb")), BUFFER_BYTES)
        raw = path.open("rb")
    except OSError as error:
        raise capture_error(f"Cannot read the capture {path}: {error.strerror}.") from None
    if unpacker is not None:
        reader: Any = unpacker.stream_reader(raw, closefd=True)
        return io.BufferedReader(reader, BUFFER_BYTES)
    return raw


class _Gzip(io.RawIOBase):
    """What gzip has unpacked so far, at each read: of a file that ends early everything up to there is seen.

    With a buffer around it, lines come ten times as fast as from GzipFile, whose own are made in Python.
    """

    def __init__(self, source: gzip.GzipFile) -> None:
        self._source: Final = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._source.read1(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._source.close()
        super().close()


def create(path: Path) -> CaptureFile:
    """Open a capture for writing; one that is there is replaced.

    Raises:
        SettingsError: `capture`, if it cannot be written or zstandard is not installed.
    """
    compressor = _zstandard().ZstdCompressor(level=3) if path.suffix == ".zst" else None
    try:
        raw = path.open("wb")
    except OSError as error:
        raise capture_error(f"Cannot write the capture {path}: {error.strerror}.") from None
    if compressor is not None:
        return CaptureFile(raw, compressor.stream_writer(raw, closefd=False))
    if path.suffix == ".gz":
        # no name and no time inside, so that the same frames give the same bytes
        return CaptureFile(raw, gzip.GzipFile("", "wb", GZIP_LEVEL, raw, mtime=0))
    return CaptureFile(raw, None)


class CaptureFile:
    """A capture being written. What was flushed can be read even if this process is killed."""

    def __init__(self, raw: IO[bytes], packer: Any) -> None:
        self._raw: Final = raw
        self._packer: Final = packer

    @property
    def bytes_written(self) -> int:
        """Bytes in the file so far, packed; what waits in buffers is not counted."""
        return self._raw.tell()

    def write(self, data: bytes) -> None:
        """Append whole lines."""
        (self._packer or self._raw).write(data)

    def flush(self) -> None:
        """Hand everything to the operating system, as a block that can be unpacked on its own."""
        if isinstance(self._packer, gzip.GzipFile):
            self._packer.flush(zlib.Z_SYNC_FLUSH)
        elif self._packer is not None:
            self._packer.flush()
        self._raw.flush()

    def close(self) -> None:
        """Write the end of the file; a second call does nothing."""
        if self._raw.closed:
            return
        if self._packer is not None:
            self._packer.close()
        self._raw.close()

    def __enter__(self) -> CaptureFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def batches(lines: IO[bytes], count: int) -> Iterator[tuple[list[bytes], Exception | None]]:
    """Up to `count` lines at a time, and with the last ones the error that ended them early, if one did."""
    while True:
        found: list[bytes] = []
        try:
            # a limit, so that a file without line ends does not fill the memory
            while len(found) < count and (line := lines.readline(MAX_LINE_BYTES)):
                found.append(line)
        except _DAMAGE as error:
            yield found, error
            return
        if not found:
            return
        yield found, None


def _zstandard() -> Any:
    try:
        return import_module("zstandard")
    except ModuleNotFoundError:
        raise capture_error("A .zst capture needs zstandard: pip install 'gesture-maze[replay]'.") from None


def _damage() -> tuple[type[Exception], ...]:
    found: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error)
    with suppress(ModuleNotFoundError):
        found += (import_module("zstandard").ZstdError,)
    return found


_DAMAGE: Final = _damage()
"""What reading a damaged file raises."""
