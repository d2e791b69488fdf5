"""Plain and compressed files, opened alike."""

from __future__ import annotations

import bz2
import codecs
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
from keel.kinds import COMPRESSED, PICKLED_SUFFIXES

_READERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ\x00": lzma.open, b"BZh": bz2.open}
"""Kinds of compression, by the first bytes of a file."""
# Without a time and a name in it, the same content gives the same file.
_gzip: Callable[..., Any] = partial(gzip.GzipFile, "", "wb", 9, mtime=0)
_WRITERS: dict[str, Callable[[IO[bytes]], Any]] = dict(
    zip(COMPRESSED, (_gzip, partial(lzma.open, mode="wb"), partial(bz2.open, mode="wb")), strict=True)
)
_ZIP = b"PK\x03\x04"
_NOT_READ = "this is a {} archive, which keel does not read; unpack it first"
_UTF_16 = "this is UTF-16 text, as Windows PowerShell writes with >; convert it to UTF-8 first"
_PACKED: tuple[tuple[bytes, int, str], ...] = (
    (b"\x28\xb5\x2f\xfd", 0, _NOT_READ.format("zstd")),
    (b"\x04\x22\x4d\x18", 0, _NOT_READ.format("lz4")),
    (_ZIP, 0, _NOT_READ.format("zip")),
    (b"7z\xbc\xaf\x27\x1c", 0, _NOT_READ.format("7z")),
    (b"Rar!", 0, _NOT_READ.format("rar")),
    (b"ustar", 257, _NOT_READ.format("tar")),
    *((magic, 0, "it is compressed twice; unpack it first") for magic in _READERS),
    *((magic, 0, _UTF_16) for magic in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)),
)
"""What is not unpacked: bytes, where they stand, what such a file is and what to do."""


_WEB_PAGE = "this is a web page, perhaps the error of a download; fetch the file itself"
_ELSEWHERE: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "this is a pointer of Git LFS, not the file itself; fetch that with `git lfs pull`"),
    (b"/annex/objects/", "this is a pointer of git-annex, not the file itself; fetch that with `git annex get`"),
    (b"<!doctype html", _WEB_PAGE),
    (b"<html", _WEB_PAGE),
)
"""What stands where the file should be: its beginning in lower case, what it is and what to do."""


def refuse_packed(path: Path, *, in_place: bool) -> None:
    """Refuse a file that must be unpacked, converted or fetched first.

    Parameters
    ----------
    path
        The file.
    in_place
        Its reader takes no compressed files.

    Raises
    ------
    DataError
        If it is one.
    """
    with open(path, "rb") as file:
        begins = file.read(30)
    for magic, what in _ELSEWHERE:
        if begins.lower().startswith(magic):
            raise DataError(f"{path}: {what}")
    compressed = any(map(begins.startswith, _READERS))
    if in_place:
        if compressed:
            raise DataError(f"{path}: such files are not read compressed; unpack it first")
        return
    with opened(path) as stream:
        start = stream.read(300)
    for magic, at, what in _PACKED:
        if start[at:].startswith(magic) and not (magic == _ZIP and path.suffix in PICKLED_SUFFIXES):
            raise DataError(f"{path}: {what}")


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
