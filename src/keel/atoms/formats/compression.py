"""Plain and compressed files, opened alike."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import IO, Any

from keel.errors import DataError
from keel.kinds import COMPRESSED

_READERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ\x00": lzma.open, b"BZh": bz2.open}
"""Kinds of compression, by the first bytes of a file."""
# Without a time and a name in it, the same content gives the same file.
_gzip: Callable[..., Any] = partial(gzip.GzipFile, "", "wb", 9, mtime=0)
_WRITERS: dict[str, Callable[[IO[bytes]], Any]] = dict(
    zip(COMPRESSED, (_gzip, partial(lzma.open, mode="wb"), partial(bz2.open, mode="wb")), strict=True)
)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a plain or compressed file for reading, distinguished by its first bytes.

    Raises
    ------
    DataError
        If it is damaged, also while it is read.
    """
    with open(path, "rb") as file:
        magic = file.read(6)
    opener = next((o for m, o in _READERS.items() if magic.startswith(m)), open)
    try:
        with opener(path, "rb") as stream:
            yield stream
    except DataError as error:
        raise error if str(path) in str(error) else DataError(f"{path}: {error}") from None
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path}: the compressed file is damaged or cut off ({error}); fetch it again") from None


@contextmanager
def opened_text(path: Path) -> Iterator[io.TextIOWrapper]:
    """Open a plain or compressed text; bytes that are not UTF-8 (a name in a title, say) are replaced.

    Raises
    ------
    DataError
        As :func:`opened`.
    """
    with opened(path) as stream, io.TextIOWrapper(stream, encoding="utf-8", errors="replace") as text:
        yield text


@contextmanager
def created(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to write bytes into it, compressed if its suffix says so."""
    with open(path, "wb") as file, _WRITERS.get(path.suffix.lower(), nullcontext)(file) as stream:
        yield stream
