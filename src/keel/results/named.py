"""The potentials of a run folder under plain names: ``potentials/CGCNN-pretrain-seed0.safetensors``.

Folders of tasks have hashes in their names; users look for the name of a potential.
"""

from __future__ import annotations

import errno
import filecmp
import os
import re
import shutil
from pathlib import Path

from keel.files import replace_file
from keel.kinds import TRAINED
from keel.results.index import RunIndex
from keel.results.made import Teacher

FOLDER = "potentials"
TEACHER = "teacher"
UNPLAIN = re.compile(r"[^\w.+-]+")
"""Characters that a plain name lacks, so that it can be written on any command line."""


def give_name(root: Path, name: str, file: Path) -> Path:
    """Link ``potentials/NAME`` of a run folder to this file, replacing what it was before; return its path.

    It is the same file (a hard link), or a copy where the disk has no such links.
    """
    # Names come from settings, or from files of other people's runs: none may lead out of the folder.
    named = root / FOLDER / f"{UNPLAIN.sub('-', name).lstrip('.')}{file.suffix}"
    # By size and time of change, which a copy takes over.
    if not (named.is_file() and filecmp.cmp(file, named)):
        replace_file(named, lambda temporary: _link_or_copy(file, temporary))
    return named


def name_all(root: Path, index: RunIndex) -> dict[str, Path]:
    """Name all existing potentials of a run; return the path of each, relative to the run folder.

    In a folder that cannot be written they stay where their tasks left them.
    """
    files = {cell.name: root / cell.train / TRAINED for cell in index.cells if cell.train}
    if index.teacher:
        files[TEACHER] = Teacher.potential(root / index.teacher)
    return {name: _named(root, name, file).relative_to(root) for name, file in files.items() if file.is_file()}


def _named(root: Path, name: str, file: Path) -> Path:
    try:
        return give_name(root, name, file)
    except PermissionError:
        return file
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return file


def _link_or_copy(file: Path, place: Path) -> None:
    place.unlink()
    try:
        os.link(file, place)
    except OSError:
        shutil.copy2(file, place)
