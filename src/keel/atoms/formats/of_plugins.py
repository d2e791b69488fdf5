"""Frames that the reader of a plugin yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from keel.atoms.labelling.labelled import record_of_ase
from keel.atoms.record import PendingFrame
from keel.errors import DataError, KeelError
from keel.kinds import FrameFormat, imported


def plugin_frames(form: FrameFormat, path: Path) -> Iterator[PendingFrame]:
    """Yield the frames of a file, which its reader yields as ``ase.Atoms`` or as frames to come.

    Raises
    ------
    DataError
        If the reader fails, or yields something else.
    """
    images = _call(lambda: iter(imported(form.reader)(path)), form, str(path))
    for index in count():
        source = f"{path}, frame {index}"
        image = _call(lambda: next(images, None), form, source)
        if image is None:
            return
        if not (isinstance(image, PendingFrame) or hasattr(image, "get_positions")):
            raise DataError(f"{source}: {form.reader} yields {type(image).__name__} instead of ase.Atoms")
        pending = isinstance(image, PendingFrame)
        yield image if pending else PendingFrame(source, partial(record_of_ase, image, source))


def _call(call: Callable[[], Any], form: FrameFormat, source: str) -> Any:
    try:
        return call()
    except KeelError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
        raise DataError(f"{source}: {form.reader}, which reads {form.name}, fails ({reason})") from None
