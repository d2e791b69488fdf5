"""Frames that stay on disk: a sequence like any other, which reads a frame when it is accessed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from keel.atoms.elements import symbol
from keel.atoms.frame import Frame
from keel.atoms.labelling.names import LABELS
from keel.atoms.store.columns import ALWAYS, BY_NAME, frame_of, info_of
from keel.atoms.store.shards import Shard, Store, open_shard
from keel.errors import DataError
from keel.formats import Format
from keel.showing import Facts, Shown

FORMAT = Format("store")
CONTENTS = "store.json"
"""Name of the file that describes a store; it is written last."""
SUFFIX = ".keel"
AT_ONCE, SPARSEST = 64, 4
"""Number of frames read together if they are consecutive, or if at least every fourth is requested."""
Change = Callable[[Frame], Frame]
Places = range | NDArray[np.int64] | NDArray[np.int32]


def is_store(path: Path) -> bool:
    """Return whether a path is that of a store, finished or not."""
    return path.is_dir() and (path.suffix.lower() == SUFFIX or (path / CONTENTS).is_file())


def contents_of(path: Path) -> dict[str, Any]:
    """Return the description of a store.

    Raises
    ------
    DataError
        If it is not finished, damaged, or of a newer keel.
    """
    try:
        content = json.loads((path / CONTENTS).read_text())
    except FileNotFoundError:
        raise DataError(f"{path}: the store is not finished; run its `keel pack` command again") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path / CONTENTS}: it cannot be read ({error}); pack the data again") from None
    content = FORMAT.upgraded(content, path / CONTENTS)
    if not isinstance(content.get("shards"), list):
        raise DataError(f"{path / CONTENTS}: it names no shards; pack the data again")
    return content


def open_store(*paths: Path) -> StoredFrames:
    """Return the frames of one store or of several, without reading them.

    Raises
    ------
    DataError
        If one is not finished or damaged.
    """
    shards: list[Shard] = []
    firsts, sums = [], []
    for path in paths:
        firsts.append(sum(shard.frames for shard in shards))
        for said in contents_of(path)["shards"]:
            shard = open_shard(path / str(said["name"]))
            if shard.frames != said["frames"]:
                raise DataError(f"{shard.path}: it has {shard.frames:,} frames, not {said['frames']:,}; pack again")
            shards.append(shard)
            sums.append(str(said["sha256"]))
    starts = np.cumsum([0, *(shard.frames for shard in shards)])
    store = Store(paths, np.array(firsts), tuple(shards), starts, " ".join(sums))
    return StoredFrames(store, range(len(store)))


class StoredFrames(Shown, Sequence[Frame]):
    """Frames of a store: each is read when it is accessed, and none is kept.

    Slices and selections are of the same kind. It is immutable.

    Parameters
    ----------
    store
        Where they are.
    places
        Their numbers in it, in order.
    names
        The columns that are read.
    change
        What is done to each frame when it is read.
    """

    def __init__(
        self,
        store: Store,
        places: Places,
        names: Sequence[str] = tuple(BY_NAME),
        change: Change | None = None,
    ) -> None:
        self.store, self.places, self.names, self.change = store, places, tuple(names), change

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.places)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Frame | Self:
        """Return a frame, or some of them without reading them."""
        if isinstance(index, slice):
            return self._with(places=self.places[index])
        place = int(self.places[index.__index__()])
        which = self.store.shard_of(place)
        row = self.store.shards[which].row(place - int(self.store.starts[which]), self.names)
        return self._changed(frame_of(row, self.store.source(place)))

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order; those that follow each other are read together."""
        for first in range(0, len(self), AT_ONCE):
            yield from self._block(self.places[first : first + AT_ONCE], first)

    def _block(self, places: Places, first: int) -> Iterator[Frame]:
        ends = int(places[0]), int(places[-1]) + 1
        which = self.store.shard_of(ends[0])
        start, stop = self.store.starts[which : which + 2].tolist()
        near = ends[1] <= min(stop, ends[0] + SPARSEST * len(places))
        if not near or (np.diff(places) <= 0).any():
            yield from (self[first + k] for k in range(len(places)))
            return
        table = self.store.shards[which].table(ends[0] - start, ends[1] - start, self.names)
        wanted = {int(place) for place in places}
        sources = (self.store.source(place) for place in range(*ends))
        for place, frame in zip(range(*ends), table.frames(sources), strict=True):
            if place in wanted:
                yield self._changed(frame)

    def __add__(self, others: Sequence[Frame]) -> Self | list[Frame]:
        """Return the frames of both; those of the same store stay there."""
        if not len(others):
            return self
        if isinstance(others, StoredFrames) and others.store is self.store and others.change is self.change:
            return self._with(places=np.concatenate([np.asarray(self.places), np.asarray(others.places)]))
        return [*self, *others]

    def _with(self, **changes: Any) -> Self:
        now = {"store": self.store, "places": self.places, "names": self.names, "change": self.change}
        return type(self)(**{**now, **changes})

    def _changed(self, frame: Frame) -> Frame:
        return frame if self.change is None else self.change(frame)

    def take(self, indices: Sequence[int] | NDArray[Any]) -> Self:
        """Return some of the frames, by their numbers among these, without reading them.

        Parameters
        ----------
        indices
            Numbers among these frames, in any order.
        """
        chosen: NDArray[Any] = np.asarray(indices, dtype=np.int64)
        if not isinstance(self.places, range):
            chosen = np.asarray(self.places)[chosen]
        elif self.places != range(len(self.places)):
            chosen = self.places.start + self.places.step * chosen
        # Half the memory, where there are millions.
        return self._with(places=chosen.astype(np.int32) if len(self.store) < 1 << 31 else chosen)

    def changed(self, change: Change) -> Self:
        """Return the frames, each of which a function changes when it is read; elements and labels stay.

        Parameters
        ----------
        change
            Takes a frame and returns the changed one.
        """
        before = self.change
        return self._with(change=change if before is None else lambda frame: change(before(frame)))

    def unlabelled(self) -> Self:
        """Return the frames without energy, forces and stress."""
        left = {*LABELS, "forces_mask"}
        return self._with(names=tuple(name for name in self.names if name not in left))

    def structures(self) -> Self:
        """Return the frames with elements, positions and cell alone."""
        return self._with(names=ALWAYS)

    @property
    def fingerprint(self) -> str:
        """What identifies these frames, without reading them."""
        digest = hashlib.sha256()
        for first in range(0, len(self), 1 << 16):
            digest.update(np.asarray(self.places[first : first + (1 << 16)], dtype=np.int64).tobytes())
        return f"{self.store.checksum} {' '.join(self.names)} {digest.hexdigest()}"

    def counts(self) -> NDArray[np.int32]:
        """Return the number of atoms of each frame."""
        found = np.zeros(len(self), dtype=np.int32)
        for shard, own, there in self._by_shard():
            found[own] = shard.counts(0, shard.frames)[there]
        return found

    def present(self, name: str) -> NDArray[np.bool_]:
        """Return which frames have a value in a column, such as ``"forces"``."""
        found = np.zeros(len(self), dtype=bool)
        for shard, own, there in self._by_shard() if name in self.names else ():
            found[own] = shard.present(name, 0, shard.frames)[there]
        return found

    def periodic_in(self) -> NDArray[np.bool_]:
        """Return along which lattice vectors each frame is periodic, shape (F, 3)."""
        found = np.zeros((len(self), 3), dtype=bool)
        for shard, own, there in self._by_shard():
            found[own] = shard.table(0, shard.frames, ("pbc",)).columns["pbc"].rows[there]
        return found

    def elements_of_each(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
        """Yield frames by their numbers, (K,), with the atomic numbers that are in each, (K, 119), shard by shard."""
        for shard, own, there in self._by_shard():
            table = shard.table(0, shard.frames, ("numbers",))
            found = np.zeros((shard.frames, 119), dtype=bool)
            found[np.repeat(np.arange(shard.frames), table.counts), table.columns["numbers"].rows] = True
            yield own, found[there]

    def atoms_of_each_element(self) -> Iterator[NDArray[np.int64]]:
        """Yield how many atoms of each element there are, shape (119,), shard by shard."""
        for shard, _, there in self._by_shard():
            table = shard.table(0, shard.frames, ("numbers",))
            times = np.bincount(there, minlength=shard.frames)
            weights = np.repeat(times, table.counts)
            yield np.bincount(table.columns["numbers"].rows, weights, minlength=119).astype(np.int64)

    @cached_property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers of the elements in these frames."""
        there = np.zeros(119, dtype=bool)
        for _, found in self.elements_of_each():
            there |= found.any(axis=0)
        return tuple(np.flatnonzero(there).tolist())

    def infos(self) -> Iterator[Mapping[str, Any]]:
        """Yield the ``info`` of each frame; nothing else is read."""
        rising = self.places.step > 0 if isinstance(self.places, range) else bool((np.diff(self.places) > 0).all())
        if rising:
            for shard, _, there in self._by_shard():
                texts = shard.table(0, shard.frames, ("info",)).columns.get("info", [[None] * shard.frames])[0]
                yield from (info_of(texts[k])[0] for k in there.tolist())
            return
        for place in self.places:
            which = self.store.shard_of(int(place))
            text = self.store.shards[which].row(int(place) - int(self.store.starts[which]), ("info",)).get("info")
            yield info_of(text)[0]

    def _by_shard(self) -> Iterator[tuple[Shard, NDArray[np.int64], NDArray[np.int64]]]:
        """Yield each shard with the numbers of its frames among these, and their places in it."""
        for shard, start in zip(self.store.shards, self.store.starts.tolist(), strict=False):
            own = self._between(start, start + shard.frames)
            if len(own):
                # No array is made of a range: there may be millions.
                places = np.asarray(self.places[own[0] : own[-1] + 1])
                yield shard, own, places[own - own[0]] - start

    def _between(self, first: int, last: int) -> NDArray[np.int64]:
        """Return the numbers of the frames between two places of the store."""
        if not isinstance(self.places, range):
            return np.flatnonzero((self.places >= first) & (self.places < last))
        # Where a rising range passes each end.
        rising = self.places if self.places.step > 0 else self.places[::-1]
        low, high = (max(0, min(len(rising), -((rising.start - at) // rising.step))) for at in (first, last))
        found = np.arange(low, high)
        return found if rising is self.places else len(rising) - 1 - found[::-1]

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        labels = {label: int(self.present(label).sum()) for label in LABELS}
        labelled = ", ".join(name if n == len(self) else f"{name} of {n:,}" for name, n in labels.items() if n)
        return {
            "frames": f"{len(self):,}",
            "atoms": f"{int(self.counts().sum(dtype=np.int64)):,}",
            "elements": ", ".join(map(symbol, self.elements)),
            "labels": labelled or "none",
            "in": ", ".join(map(str, self.store.paths)),
        }
