"""Conversion of structures from any source to frames, as if they had been read from a file."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from keel.atoms.frame import Frame
from keel.atoms.frames import Frames
from keel.atoms.labelling.labelled import OF_OTHERS, frame_from_ase
from keel.atoms.read import believed, iter_frames, stored_frames
from keel.atoms.remarks import notes
from keel.atoms.soundness.frames import check_frame
from keel.atoms.store.frames import StoredFrames
from keel.errors import DataError, KeelWarning
from keel.wording import a

if TYPE_CHECKING:
    from ase import Atoms

Structure: TypeAlias = "Frame | Atoms | str | Path"
"""A frame, an ``ase.Atoms``, or a file with one structure."""
Structures: TypeAlias = "Structure | Iterable[Structure]"
"""What :func:`as_frames` takes."""
TAKEN = "frames, ase.Atoms or paths of files"
FOREIGN = ("to_ase_atoms", "toatoms")
"""Methods that convert pymatgen structures and rows of ASE databases to ``ase.Atoms``."""


def as_frames(given: Structures, *, labels: bool = True) -> Frames | StoredFrames:
    """Return frames from any source of structures; every function of keel that takes frames accepts these.

    Labels of ``ase.Atoms`` are found as those of files are: by the usual names, in the results of its calculator, in
    ``info`` and in ``arrays``. A calculator is never run, and results for other positions are ignored.

    Frames of a store (:func:`keel.atoms.pack`) stay there.

    Parameters
    ----------
    given
        A :class:`keel.Frame`, an ``ase.Atoms``, the path of a file that :func:`keel.read` reads, or any iterable of
        these: a list, a trajectory of ASE, a generator.
    labels
        False: only structures are wanted; labels are neither looked for nor checked.

    Raises
    ------
    DataError
        If it is something else, or, with labels, as :func:`keel.read` does: if a structure cannot be real, or forces or
        stresses contradict the energies. Frames are taken as they are.

    Warns
    -----
    KeelWarning
        If a calculator has results, but for another structure than the one it belongs to.

    Examples
    --------
    >>> from ase.build import bulk
    >>> import keel
    >>> keel.atoms.as_frames([bulk("Cu"), bulk("Si")])
    Frames(2; atoms 2 Si, 1 Cu; labels none; from in memory)
    """
    if (stored := as_stored(given)) is not None:
        return stored if labels else stored.unlabelled()
    members = list(_members(given))
    if all(isinstance(member, Frame) for _, member in members):
        return Frames(member for _, member in members)
    frames = Frames()
    for source, member in members:
        for frame in _converted(member, source, labels):
            if labels and _is_atoms(member):
                check_frame(frame)
            frames.append(frame)
    if labels:
        said = ((f, tuple(r for r in f.remarks if r.startswith(OF_OTHERS))) for f in frames if f.remarks)
        for note in notes(frame.replace(remarks=remarks) for frame, remarks in said):
            warnings.warn(note, KeelWarning, stacklevel=2)
    return believed(frames) if labels else frames


def as_stored(given: Structures) -> StoredFrames | None:
    """Return the frames of a store if that is what is given, or its path."""
    if isinstance(given, str | PathLike):
        return stored_frames(Path(given))
    return given if isinstance(given, StoredFrames) else None


def each_frame(given: Structures, *, labels: bool = True) -> Iterator[Frame]:
    """Yield the frames that :func:`as_frames` returns one by one, so that a file need not fit into memory.

    Problems that show only in many frames are not searched for (:func:`keel.atoms.iter_frames`), and structures that a
    file may not contain, such as two atoms in one place, are not refused.
    """
    return (frame for source, member in _members(given) for frame in _converted(member, source, labels))


def as_frame(given: Structure, *, labels: bool = True) -> Frame:
    """Return the frame of a source with one structure, see :func:`as_frames`.

    Parameters
    ----------
    given
        A :class:`keel.Frame`, an ``ase.Atoms``, the path of a file, or a list with one of these.
    labels
        False: labels are neither looked for nor checked.

    Raises
    ------
    DataError
        If it is something else, or a file or list with several.
    """
    frames = list(each_frame(given, labels=labels))
    if len(frames) != 1:
        raise DataError(f"one structure is needed here, not {len(frames):,}; choose one, such as the first, [0]")
    return frames[0]


def _is_atoms(given: Any) -> bool:
    # ASE need not be imported to see that an object is not one of its own.
    return hasattr(given, "get_positions") and hasattr(given, "arrays")


def _members(given: Any) -> Iterator[tuple[str, Any]]:
    """Yield each structure given, with its name in messages."""
    if isinstance(given, Frame | str | PathLike) or _is_atoms(given):
        return iter([("in memory", given)])
    # A dictionary yields its keys, a structure of another package its parts: refused here, with a message that fits.
    if isinstance(given, Iterable) and not isinstance(given, dict) and not any(hasattr(given, m) for m in FOREIGN):
        return ((f"in memory, frame {k}", member) for k, member in enumerate(given))
    raise DataError(_refusal(given))


def _converted(member: Any, source: str, labels: bool) -> Iterator[Frame]:
    if isinstance(member, Frame):
        yield member
    elif isinstance(member, str | PathLike):
        yield from iter_frames(Path(member), labels=labels)
    elif _is_atoms(member):
        yield frame_from_ase(member, source, labels=labels)
    else:
        raise DataError(_refusal(member))


def _refusal(given: Any) -> str:
    """Say what cannot be taken, and what to give instead."""
    kind = a(type(given).__name__)
    for method in FOREIGN:
        if hasattr(given, method):
            return f"{kind} is not a structure that keel accepts; give the result of its {method}()"
    if hasattr(given, "edge_index"):
        return (
            f"a batch with its neighbour list cannot be split into structures; give the structures themselves: {TAKEN}"
        )
    if hasattr(given, "atomic_energies"):
        return f"{kind} is a potential where structures are expected; are two arguments swapped?"
    what = "nothing (None)" if given is None else kind
    return f"{what} was given where structures are expected; give {TAKEN}, one or a list"
