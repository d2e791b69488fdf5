"""The end of packing: checks of many frames together, and the file that makes a folder of shards a store."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keel.atoms.elements import symbol
from keel.atoms.frame import Frame
from keel.atoms.in_files import BadFrames
from keel.atoms.labelling.names import LABELS
from keel.atoms.store.frames import CONTENTS, FORMAT, StoredFrames
from keel.atoms.store.shards import Store, open_shard
from keel.atoms.store.stretches import stretches
from keel.errors import DataError
from keel.files import replace_file
from keel.identity import of_file


def judged_together(folder: Path, shards: Sequence[Path], judge: Callable[[Sequence[Frame]], object]) -> None:
    """Apply ``judge`` to stretches of the frames, named after the folder."""
    opened = [open_shard(path) for path in shards]
    starts = np.cumsum([0, *(shard.frames for shard in opened)])
    store = Store((folder,), np.zeros(1, np.int64), tuple(opened), starts, "")
    judge(stretches(StoredFrames(store, range(len(store)))))


def finish(folder: Path, shards: Sequence[Path], plan: Mapping[str, Any], bad: BadFrames | None) -> None:
    """Write what a store contains, and delete what only packing needed.

    Raises
    ------
    DataError
        If there are no frames.
    """
    entries: list[dict[str, Any]] = []
    counts, labels = np.zeros(119, np.int64), dict.fromkeys(LABELS, 0)
    for path in shards:
        shard = open_shard(path)
        table = shard.table(0, shard.frames, ("numbers",))
        counts += np.bincount(table.columns["numbers"].rows, minlength=119)
        for label in LABELS:
            labels[label] += int(shard.present(label, 0, shard.frames).sum())
        entries.append({"name": path.name, "frames": shard.frames, "sha256": of_file(path)})
    if not entries:
        raise DataError(f"{folder}: none of the frames can be used")
    if bad is not None:
        set_aside(folder, bad)
    content = {
        **FORMAT.stamp,
        "frames": sum(entry["frames"] for entry in entries),
        "atoms": int(counts.sum()),
        "elements": {symbol(z): int(counts[z]) for z in np.flatnonzero(counts).tolist()},
        "labels": labels,
        "set_aside": 0 if bad is None else len(bad),
        "shards": entries,
        "plan": plan,
    }
    text = json.dumps(content, indent=1)
    replace_file(folder / CONTENTS, lambda temporary: temporary.write_text(text))
    tidy(folder)


def tidy(folder: Path) -> None:
    """Delete what only packing needed."""
    for pattern in ("plan.json", "part-*.json", "shard-*.aside", "shard-*.reasons"):
        for path in folder.glob(pattern):
            path.unlink()


def set_aside(folder: Path, bad: BadFrames) -> None:
    """Collect what was set aside in each shard."""
    for path in sorted(folder.glob("shard-*.aside")):
        reasons = json.loads(path.with_suffix(".reasons").read_text())
        bad.extend(path.read_bytes(), reasons)
