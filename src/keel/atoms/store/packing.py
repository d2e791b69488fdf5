"""Packing: files of any format become a store, by several processes, resumed after a kill."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from keel.atoms.findings import refuse_wrong_labels
from keel.atoms.frame import Frame
from keel.atoms.in_files import BadFrames, Make, frames_in, required_labels, set_aside_into
from keel.atoms.record import LabelKeys, label_keys
from keel.atoms.soundness.frames import check_frame
from keel.atoms.soundness.unknown import without_placeholders
from keel.atoms.store.columns import Table
from keel.atoms.store.finishing import finish, judged_together, tidy
from keel.atoms.store.frames import CONTENTS, StoredFrames, contents_of, open_store
from keel.atoms.store.shards import SHARD_FRAMES, write_shard
from keel.errors import ConfigError, DataError, KeelError
from keel.files import replace_file, replace_folder
from keel.launch import end_with_parent
from keel.locks import locked
from keel.plugins import in_use, take_over
from keel.ranges import Processes, checked

PLAN = "plan.json"
"""Name of the file in an unfinished store that lists its sources."""
LARGE = 64 << 20
"""Bytes. Larger files are divided among all processes; smaller ones are grouped up to this size."""
MOST_TOGETHER = 1000
Advance = Callable[[int, int, str], object]


@dataclass(frozen=True)
class Work:
    """What one process does: every ``of``-th shard of some files, from number ``first`` on.

    Parameters
    ----------
    number
        Number of these files among all, with which the names of their shards begin.
    """

    number: int
    files: tuple[Path, ...]
    first: int = 0
    of: int = 1


@dataclass(frozen=True)
class Packer:
    """How files become shards: labels as ``keys`` say; frames that cannot be used are kept apart if ``skip``."""

    folder: Path
    keys: LabelKeys
    require: tuple[str, ...]
    skip: bool

    def __call__(self, work: Work, tick: Callable[[], None] | None = None) -> int:
        """Do the work, except for shards that exist, and return the number of frames in the files."""
        done = self.folder / f"part-{work.number:05d}-{work.first}-{work.of}.json"
        if done.is_file():
            return int(json.loads(done.read_text())["found"])
        number, found = 0, 0
        waiting = frames_in(work.files, self.keys, self.require)
        while pending := list(islice(waiting, SHARD_FRAMES)):
            path = self.folder / f"shard-{work.number:05d}-{number:05d}.arrow"
            if number % work.of == work.first and not path.is_file():
                self._write(path, pending)
                (tick or bool)()
            number, found = number + 1, found + len(pending)
        said = json.dumps({"found": found})
        replace_file(done, lambda temporary: temporary.write_text(said))
        return found

    def _write(self, path: Path, pending: Sequence[Make]) -> None:
        aside = path.with_suffix(".aside")
        aside.unlink(missing_ok=True)
        bad = BadFrames(aside) if self.skip else None
        frames = [frame for make in pending if (frame := make(bad)) is not None]
        if bad:
            reasons = json.dumps(bad.reasons)
            replace_file(path.with_suffix(".reasons"), lambda temporary: temporary.write_text(reasons))
        if not frames:
            return
        # Judged by the other frames of the shard.
        write_shard(path, Table.of(without_placeholders(frames)))


def pack(
    files: Sequence[str | Path],
    out: str | Path,
    *,
    workers: int = 1,
    keys: LabelKeys | Mapping[str, Any] | None = None,
    require: Sequence[str] = (),
    skip_bad: str | Path | BadFrames | None = None,
    advance: Advance | None = None,
) -> StoredFrames:
    """Pack files of structures into a store, a folder that can be used wherever a file can.

    After an interruption, a call with the same arguments continues where it stopped and ends with the same bytes,
    whatever the number of workers.

    Parameters
    ----------
    files
        Of any format that :func:`keel.read` reads, stores too.
    out
        The folder, whose name ends in ``.keel``.
    workers
        Number of parallel processes.
    keys, require, skip_bad
        As for :func:`keel.read`.
    advance
        Called with the amount done, the total, and a description.

    Raises
    ------
    DataError
        As :func:`keel.read` does. Problems that show only in many frames are searched for in 20 stretches of 500
        frames, evenly spread; numbers that mean "unknown", in each shard of 8,192 frames.
    ConfigError
        If the folder contains something else.

    Examples
    --------
    >>> import keel
    >>> frames = keel.atoms.pack(["mptrj.json"], "mptrj.keel", workers=2)  # doctest: +SKIP
    """
    paths, folder = [Path(file) for file in files], Path(out)
    if not paths:
        raise DataError("no file to pack was given")
    bad, workers = set_aside_into(skip_bad, paths), checked(Processes, workers, "workers")
    packer = Packer(folder, label_keys(keys), required_labels(require), bad is not None)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(f".{folder.name}.lock"), partial(_refuse, folder), passing=True):
        plan = _plan(paths, packer)
        if (folder / CONTENTS).is_file():
            if contents_of(folder).get("plan") != plan:
                raise ConfigError(
                    f"{folder}: it contains a store made of other files; remove it or choose another name"
                )
            tidy(folder)
            return open_store(folder)
        _begin(folder, plan)
        shares = [share for work in _works(paths) for share in _shares(work, workers)]

        def tick() -> None:
            if advance is not None:
                number = sum(1 for _ in folder.glob("shard-*.arrow"))
                advance(number * SHARD_FRAMES, 0, "frames")

        _do(packer, shares, workers, tick)
        shards = sorted(folder.glob("shard-*.arrow"))
        judged_together(folder, shards, refuse_wrong_labels)
        finish(folder, shards, plan, bad)
        return open_store(folder)


def write_store(folder: Path, frames: Iterable[Frame]) -> int:
    """Write frames as a store and return their number; they are checked as :func:`pack` checks them.

    An existing store is replaced once the new one is complete.

    Raises
    ------
    DataError
        As :func:`pack`; or if the folder holds something else.
    """
    if folder.exists() and not (folder / CONTENTS).is_file():
        raise DataError(f"{folder}: it contains something other than a finished store; choose another name")
    waiting, shards, count = iter(frames), 0, 0

    def write(temporary: Path) -> None:
        nonlocal shards, count
        while block := list(islice(waiting, SHARD_FRAMES)):
            for frame in block:
                check_frame(frame)
            write_shard(temporary / f"shard-00000-{shards:05d}.arrow", Table.of(without_placeholders(block)))
            shards, count = shards + 1, count + len(block)
        written = sorted(temporary.glob("shard-*.arrow"))
        judged_together(folder, written, refuse_wrong_labels)
        finish(temporary, written, {"files": []}, None)

    first = next(waiting, None)
    if first is not None:
        waiting = chain([first], waiting)
        replace_folder(folder, write)
    return count


def _refuse(folder: Path, who: str) -> None:
    raise ConfigError(f"{folder}: {who} is packing into it; wait until it has finished")


def _plan(files: Sequence[Path], packer: Packer) -> dict[str, Any]:
    """Return what decides the content of a store."""
    stated = []
    for file in files:
        try:
            about = file.stat()
        except OSError as error:
            raise DataError(f"{file}: there is no such file ({error.strerror})") from None
        stated.append({"name": str(file), "bytes": about.st_size, "changed": about.st_mtime_ns})
    read = {key: value for key, value in asdict(packer.keys).items() if value}
    how = {"shard_frames": SHARD_FRAMES, "require": list(packer.require), "skip_bad": packer.skip, "keys": read}
    return json.loads(json.dumps({"files": stated, **how}))  # type: ignore[no-any-return]


def _begin(folder: Path, plan: dict[str, Any]) -> None:
    """Record in the folder what it is made from, or check it against the record; ConfigError if they differ."""
    said = folder / PLAN
    there = [path for path in folder.iterdir() if not path.name.startswith(".writing-")]
    if not said.is_file() and there:
        raise ConfigError(f"{folder}: it contains other files, such as {there[0].name}; choose another name")
    if said.is_file() and json.loads(said.read_text()) != plan:
        raise ConfigError(
            f"{folder}: it was begun with other files or options, or these have changed; remove it to start anew"
        )
    for left in folder.glob(".writing-*"):
        left.unlink()
    text = json.dumps(plan, indent=1)
    replace_file(said, lambda temporary: temporary.write_text(text))


def _works(files: Sequence[Path]) -> Iterator[Work]:
    """Yield large files alone, and small ones together."""
    group: list[Path] = []
    size, number = 0, 0
    for file in files:
        own = _size(file)
        if group and (size + own > LARGE or len(group) == MOST_TOGETHER):
            yield Work(number, tuple(group))
            group, size, number = [], 0, number + 1
        group.append(file)
        size += own
    yield Work(number, tuple(group))


def _size(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def _shares(work: Work, workers: int) -> list[Work]:
    """Return the share of each process in some files: whole files if they are small, else every n-th shard."""
    of = workers if sum(map(_size, work.files)) > LARGE else 1
    return [replace(work, first=first, of=of) for first in range(of)]


def _do(packer: Packer, shares: Sequence[Work], workers: int, tick: Callable[[], None]) -> None:
    """Do all work, and call ``tick`` now and then."""
    if workers == 1 or len(shares) == 1:
        for share in shares:
            packer(share, tick)
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(shares)), context, _start, (in_use(),)) as pool:
        running: set[Future[int]] = {pool.submit(packer, share) for share in shares}
        try:
            while running:
                done, running = wait(running, timeout=0.5, return_when="FIRST_COMPLETED")
                for future in done:
                    future.result()
                tick()
        except BrokenProcessPool:
            raise KeelError(
                "a worker was killed, probably because memory ran out; use fewer --workers; finished work is kept"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start(plugins: Any) -> None:
    # A worker that outlived a killed command would write into the folder of the next one.
    end_with_parent()
    take_over(plugins)
