"""Files that are written completely or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write`` with a temporary name in the same folder, then rename it to ``path``.

    A reader sees the old file or the new one, never a part; a failed write leaves nothing behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last, because writers choose the format by it.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-", suffix="".join(path.suffixes[-2:]))
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
