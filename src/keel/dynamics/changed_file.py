"""A file whose changes stay in memory until they are wanted."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = 4096
"""Number of bytes copied when one of them changes."""


@dataclass(frozen=True)
class Changes:
    """What turns a file of ``old_size`` bytes into its successor.

    Parameters
    ----------
    old_size, size
        In bytes, before and after.
    tail
        What comes after the old end.
    patches
        (Offset, bytes) that replace others before the old end.
    """

    old_size: int
    size: int
    tail: bytes
    patches: tuple[tuple[int, bytes], ...] = ()

    def write_tail(self, path: Path) -> None:
        """Write what comes after the old end, if anything; a reader that knows the old size still sees the old file."""
        with open(path, "r+b" if path.exists() else "w+b") as file:
            file.truncate(self.old_size)
            file.seek(self.old_size)
            file.write(self.tail)

    def finish(self, path: Path) -> None:
        """Replace what is before the old end, and cut off what is beyond the new one; may be done twice."""
        with open(path, "r+b") as file:
            for offset, content in self.patches:
                file.seek(offset)
                file.write(content)
            file.truncate(self.size)


class ChangedFile(io.RawIOBase):
    """The first ``size`` bytes of a file, to be read and changed like any file; the file itself is not touched."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__()
        self._base = open(path, "rb") if size else io.BytesIO()  # noqa: SIM115  (closed by `changes`)
        self._old_size = self._size = size
        self._pages: dict[int, bytearray] = {}
        self._at = 0

    def changes(self) -> Changes:
        """Return what was changed, and close the file."""
        tail = self._bytes(self._old_size, self._size)
        patches = []
        for page in sorted(self._pages):
            start, stop = page * PAGE, min((page + 1) * PAGE, self._old_size, self._size)
            if start < stop and self._bytes(start, stop) != self._original(start, stop):
                patches.append((start, self._bytes(start, stop)))
        self._base.close()
        return Changes(self._old_size, self._size, tail, tuple(patches))

    def readable(self) -> bool:  # noqa: D102
        return True

    def writable(self) -> bool:  # noqa: D102
        return True

    def seekable(self) -> bool:  # noqa: D102
        return True

    def close(self) -> None:
        """Do nothing: a writer that closes the file has finished, but its changes are still wanted."""

    def tell(self) -> int:  # noqa: D102
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:  # noqa: D102
        self._at = int(offset) + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:  # noqa: D102
        view = memoryview(buffer).cast("B")
        content = self._bytes(self._at, min(self._at + len(view), self._size))
        view[: len(content)] = content
        self._at += len(content)
        return len(content)

    def write(self, content: Any) -> int:  # noqa: D102
        view = memoryview(content).cast("B")
        done = 0
        while done < len(view):
            page, start = divmod(self._at, PAGE)
            part = view[done : done + PAGE - start]
            self._page(page)[start : start + len(part)] = part
            done, self._at = done + len(part), self._at + len(part)
        if done:
            self._size = max(self._size, self._at)
        return done

    def truncate(self, size: int | None = None) -> int:  # noqa: D102
        size = self._at if size is None else int(size)
        for page in range(size // PAGE, -(-self._size // PAGE)):
            kept = max(0, size - page * PAGE)
            self._page(page)[kept:] = bytes(PAGE - kept)
        self._size = size
        return size

    def _page(self, page: int) -> bytearray:
        if page not in self._pages:
            self._pages[page] = bytearray(self._original(page * PAGE, (page + 1) * PAGE).ljust(PAGE, b"\0"))
        return self._pages[page]

    def _bytes(self, start: int, stop: int) -> bytes:
        parts = []
        while start < stop:
            page, offset = divmod(start, PAGE)
            end = min(stop, (page + 1) * PAGE)
            found = self._pages.get(page)
            part = self._original(start, end) if found is None else bytes(found[offset : offset + end - start])
            parts.append(part.ljust(end - start, b"\0"))
            start = end
        return b"".join(parts)

    def _original(self, start: int, stop: int) -> bytes:
        self._base.seek(start)
        return self._base.read(max(0, min(stop, self._old_size) - start))
