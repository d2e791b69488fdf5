"""Whatever ASE reads, with what its readers leave out or make up set right."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from keel.atoms.labels import record_of_ase
from keel.atoms.record import PendingFrame
from keel.errors import DataError
from keel.kinds import readable


def ase_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the frames of any file that ASE reads.

    Raises
    ------
    DataError
        If ASE does not know the format or finds the file damaged.
    """
    import ase.io

    images, index = guarded(lambda: ase.io.iread(str(path), index=":"), path), 0
    while True:
        atoms = guarded(lambda: next(images, None), path)
        if atoms is None:
            return
        source = f"{path}, frame {index}"
        yield PendingFrame(source, partial(record_of_ase, atoms, source))
        index += 1


def guarded(call: Callable[[], Any], source: Path | str) -> Any:
    """ASE's readers fail in every way there is; each becomes one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call()
    except DataError:
        raise
    except Exception as error:
        if type(error).__name__ == "UnknownFileTypeError":
            raise DataError(f"{source}: its format is not known; these are read: {readable()}") from None
        reason = (str(error).strip().splitlines() or [""])[0][:100]
        detail = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
        raise DataError(f"{source}: ASE cannot read it ({detail}); check the file or convert it to extxyz") from None
