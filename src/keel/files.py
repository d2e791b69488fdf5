"""Files written completely or not at all; the order of their names; messages for errors of the system."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from keel.errors import ConfigError

WRITING = ".writing-"
"""Prefix of the name of a file that is being written."""
COMPRESSED = (".gz", ".xz", ".bz2")
"""Suffixes of compressed files."""


@dataclass(frozen=True)
class Output:
    """Where a result goes; whether it can be written there is checked before the work begins.

    Parameters
    ----------
    suffixes
        Suffixes that a file may have; empty: any.
    compressible
        Those that ``.gz``, ``.xz`` or ``.bz2`` may follow.
    folder
        It is a folder; None: a folder or a file.
    """

    suffixes: tuple[str, ...] = ()
    compressible: tuple[str, ...] = ()
    folder: bool | None = False

    def check(self, path: Path) -> None:
        """Raise a ValueError, the predicate of a sentence, if nothing can be written there."""
        there = next(p for p in (path, *path.absolute().parents) if p.exists())
        if there == path and self.folder is not None and path.is_dir() != self.folder:
            what = "is a file; name a folder" if self.folder else "is a folder; name a file in it"
            raise ValueError(f"cannot be {path}, which {what}")
        if there != path and not there.is_dir():
            raise ValueError(f"cannot be {path}, because {there} is a file; choose another place")
        if not os.access(there, os.W_OK):
            raise ValueError(f"cannot be {path}, because {there} is not writable; choose another place")
        if self.suffixes and not self._known(path):
            more = f" (also {', '.join(COMPRESSED)})" if self.compressible else ""
            raise ValueError(f"must end in {', '.join(self.suffixes)}{more}, not {path.name}")

    def _known(self, path: Path) -> bool:
        last = path.suffix.lower()
        return last in self.suffixes or (last in COMPRESSED and Path(path.stem).suffix.lower() in self.compressible)


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write`` with a temporary name in the same folder, then rename it to ``path``.

    A reader sees the old file or the new one, never a part; a failed write leaves nothing behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last, because writers choose the format by it.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=WRITING, suffix="".join(path.suffixes[-2:]))
    os.close(handle)
    temporary = Path(name)
    try:
        _written(write, temporary, path)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def replace_folder(path: Path, write: Callable[[Path], object]) -> None:
    """Do the same with a folder: ``write`` is called with an empty one, which then replaces the existing one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=path.parent, prefix=WRITING))
    made, old = place / "made", place / "old"
    try:
        made.mkdir()
        write(made)
        if path.exists():
            path.rename(old)
        made.rename(path)
    finally:
        rmtree(place, ignore_errors=True)


def _written(write: Callable[[Path], object], temporary: Path, path: Path) -> None:
    from safetensors import SafetensorError

    try:
        write(temporary)
    except SafetensorError as error:
        # It names the system's error only by its number.
        found = re.search(r"os error (\d+)", str(error))
        if found is None:
            raise
        number = int(found[1])
        raise OSError(number, os.strerror(number), str(path)) from None


def check_not_input(out: Path, inputs: Iterable[Path]) -> None:
    """Raise a ConfigError if an output file is one of its own inputs."""
    if any(out.resolve() == file.resolve() for file in inputs):
        raise ConfigError(f"{out}: it would replace its own input file; choose another name")


def named_twice(files: Iterable[str | Path]) -> str | None:
    """Return the name of a file that is among others twice, however it is written; None if there is none."""
    names = list(map(str, files))
    places = [Path(name).resolve() for name in names]
    return next((name for k, name in enumerate(names) if places[k] in places[:k]), None)


def by_number(name: str) -> list[tuple[int, str]]:
    """Return what to sort names by: ``silica``, ``silica-20``, ``silica-160``."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def sentence(error: OSError) -> str:
    """Return one sentence that says what the system refused and what to do."""
    # The temporary name means nothing to the user.
    place = str(error.filename or "")
    place = str(Path(place).parent) if Path(place).name.startswith(WRITING) else place
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" ({place})" if place else ""
        return f"the disk is full{where}; free some space and run the same command again: finished work is kept"
    if error.errno == errno.EFBIG:
        return "a file would be larger than allowed here (ulimit -f); raise the limit and run the same command again"
    return f"{place or 'a file'}: {error.strerror or error}; correct this, or choose another place"
