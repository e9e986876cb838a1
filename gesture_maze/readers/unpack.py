"""Files as streams of bytes, unpacked by suffix: `.gz`, `.zst`, anything else unchanged.

Unpacking takes bounded memory whatever the file holds, and a file that unpacks to far more than landmarks can
is refused: a megabyte of .zst can hold gigabytes.
"""

from __future__ import annotations

import gzip
import io
import zlib
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final

from gesture_maze.version import install_hint
from gesture_maze.wire.errors import SettingsError

BUFFER_BYTES: Final = 1 << 18
MAX_RATIO: Final = 250
"""A file that unpacks to more than this many times its size is refused.

Landmarks compress to a third, a hand that never moves to a sixtieth, frames without a hand to a fortieth."""
FREE_BYTES: Final = 8 << 20
"""Up to this many unpacked bytes the ratio does not matter."""
_CHUNK_BYTES: Final = 512
"""Packed bytes per step of zstandard: at most 16 MiB unpacked, since 4 bytes can hold a block of 128 KiB."""
MAX_BLANK_LINES: Final = 10_000
"""A file may have this many more blank lines than other lines. Each takes time to skip: a gigabyte of them
takes ten minutes, and compresses to a megabyte."""


def open_unpacked(path: Path, reason: str) -> IO[bytes]:
    """Open a file for reading, unpacked.

    Args:
        path: the file.
        reason: of the error if zstandard is not installed.

    Raises:
        OSError: the file cannot be opened.
        SettingsError: `reason`, if the file needs zstandard and it is not installed.
    """
    if path.suffix == ".gz":
        raw = path.open("rb")
        return io.BufferedReader(_Gzip(raw), BUFFER_BYTES)
    if path.suffix == ".zst":
        library = zstandard(reason)
        return io.BufferedReader(_Zstandard(path.open("rb"), library), BUFFER_BYTES)
    return path.open("rb")


def check_blank_lines(blank: int, lines: int) -> None:
    """Check the share of blank lines among the first lines of a file.

    Args:
        blank: number of blank lines.
        lines: number of all lines.

    Raises:
        OSError: there are more than `MAX_BLANK_LINES` more blank lines than other lines.
    """
    if 2 * blank - lines > MAX_BLANK_LINES:
        raise OSError(f"it has {blank:,} blank lines among {lines:,}: this is not a file of landmarks")


def zstandard(reason: str) -> Any:
    """Return the module `zstandard`.

    Raises:
        SettingsError: `reason`, if it is not installed.
    """
    try:
        return import_module("zstandard")
    except ModuleNotFoundError:
        raise SettingsError(reason, f"a .zst file needs zstandard: {install_hint('replay')}") from None


class _Unpacked(io.RawIOBase):
    """Unpacked bytes of a packed file, as far as they can be unpacked; counts packed and unpacked bytes."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw: Final = raw
        self._unpacked_bytes = 0

    def readable(self) -> bool:
        return True

    def _count(self, data: bytes) -> None:
        self._unpacked_bytes += len(data)
        if self._unpacked_bytes > max(FREE_BYTES, MAX_RATIO * self._raw.tell()):
            raise OSError(
                f"it unpacks to more than {MAX_RATIO} times its size: this is not a file of landmarks"
            )

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Gzip(_Unpacked):
    """Reads gzip data; a truncated file is read up to its end.

    With a buffer around it, lines are read ten times as fast as from GzipFile, which splits them in Python.
    """

    def __init__(self, raw: IO[bytes]) -> None:
        super().__init__(raw)
        self._source: Final = gzip.GzipFile(fileobj=raw, mode="rb")

    def readinto(self, buffer: Any) -> int:
        data = self._source.read1(len(buffer))
        self._count(data)
        buffer[: len(data)] = data
        return len(data)


class _Zstandard(_Unpacked):
    """Reads zstandard data. The library's own reader would mistake the end of a truncated file for the end of
    the data."""

    def __init__(self, raw: IO[bytes], library: Any) -> None:
        super().__init__(raw)
        self._new: Final = library.ZstdDecompressor().decompressobj
        self._frame: Any = None
        self._left = memoryview(b"")

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            packed = self._raw.read(_CHUNK_BYTES)
            if not packed:
                if self._frame is not None:
                    raise EOFError("the last frame has no end")
                return 0
            self._left = memoryview(self._unpack(packed))
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size

    def _unpack(self, packed: bytes) -> bytes:
        found = []
        while packed:
            if self._frame is None:
                self._frame = self._new()
            found.append(self._frame.decompress(packed))
            packed = b""
            if self._frame.eof:  # the data that follows is another frame
                packed, self._frame = self._frame.unused_data, None
        data = b"".join(found)
        self._count(data)
        return data


def _damage() -> tuple[type[Exception], ...]:
    found: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error)
    with suppress(ModuleNotFoundError):
        found += (import_module("zstandard").ZstdError,)
    return found


DAMAGE: Final = _damage()
"""Errors that reading a damaged file raises."""
