"""Capture files as streams of bytes: plain, gzip (`.gz`) or zstandard (`.zst`), chosen by the suffix."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from gesture_maze.readers.unpack import DAMAGE, check_blank_lines, open_unpacked, zstandard
from gesture_maze.wire.errors import SettingsError

GZIP_LEVEL: Final = 6
"""Compresses frames to a third; level 9 takes three times as long for 2 % less."""
MAX_LINE_BYTES: Final = 1 << 20
"""The limit of an entry on the wire. A longer line is read in parts, each of which is invalid."""
MAX_BATCH_BYTES: Final = 8 << 20
"""Bytes of lines read at a time: 512 usual lines take half a megabyte."""


def capture_error(sentence: str) -> SettingsError:
    """Return the error to raise for a fault of a capture, with the reason `capture`."""
    return SettingsError("capture", sentence)


def open_lines(path: Path) -> IO[bytes]:
    """Open a capture for reading, unpacked by its suffix.

    Raises:
        SettingsError: `capture`, if it cannot be opened or zstandard is not installed.
    """
    try:
        return open_unpacked(path, "capture")
    except OSError as error:
        raise capture_error(f"cannot read {path}: {error.strerror}") from None


def create(path: Path) -> CaptureFile:
    """Open a capture for writing; an existing file is replaced.

    Raises:
        SettingsError: `capture`, if it cannot be written or zstandard is not installed.
    """
    compressor = zstandard("capture").ZstdCompressor(level=3) if path.suffix == ".zst" else None
    try:
        raw = path.open("wb")
    except OSError as error:
        raise capture_error(f"cannot write {path}: {error.strerror}") from None
    if compressor is not None:
        return CaptureFile(raw, compressor.stream_writer(raw, closefd=False))
    if path.suffix == ".gz":
        # no name and no time inside, so that the same frames give the same bytes
        return CaptureFile(raw, gzip.GzipFile("", "wb", GZIP_LEVEL, raw, mtime=0))
    return CaptureFile(raw, None)


class CaptureFile:
    """A capture being written. Flushed lines can be read even if this process is killed."""

    def __init__(self, raw: IO[bytes], packer: Any) -> None:
        self._raw: Final = raw
        self._packer: Final = packer

    @property
    def bytes_written(self) -> int:
        """Return the compressed bytes in the file so far, without what is still buffered."""
        return self._raw.tell()

    def write(self, data: bytes) -> None:
        """Append whole lines."""
        (self._packer or self._raw).write(data)

    def flush(self) -> None:
        """Pass everything to the operating system, as a block that can be decompressed on its own."""
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


def read_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a capture or golden file one by one, a too long line in parts.

    Raises:
        DAMAGE: the file is damaged, or most of it is blank lines.
    """
    blank = 0
    # a limit, so that a file without line ends does not fill the memory
    for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b""), start=1):
        if line.isspace():
            blank += 1
            check_blank_lines(blank, number)
        yield line


def batches(lines: IO[bytes], count: int) -> Iterator[tuple[list[bytes], Exception | None]]:
    """Yield up to `count` lines at a time, and with the last ones the error that ended them early, if any."""
    blank = total = 0
    while True:
        found: list[bytes] = []
        size = 0
        try:
            # limits, so that a file without line ends or of long lines does not fill the memory
            while len(found) < count and size < MAX_BATCH_BYTES and (line := lines.readline(MAX_LINE_BYTES)):
                found.append(line)
                size += len(line)
            blank, total = blank + sum(map(bytes.isspace, found)), total + len(found)
            check_blank_lines(blank, total)
        except DAMAGE as error:
            yield found, error
            return
        if not found:
            return
        yield found, None
