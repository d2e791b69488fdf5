"""What keel opens, reads and writes, in words and by suffix, for readers, writers, messages and ``--help``.

Readers and writers are given by their import paths, so that ``keel --help`` need not import them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from keel.errors import ConfigError
from keel.files import COMPRESSED as COMPRESSED
from keel.files import Output
from keel.plugins import remember

Reader = TypeVar("Reader", bound=Callable[[Path], Iterable[Any]])

KEEL_SUFFIXES = (".safetensors", ".json")
"""Suffixes of keel's own potential files."""
TRAINED = "potential.safetensors"
"""In the folder of a training: what was trained."""
PICKLED_SUFFIXES = (".model", ".pt", ".pth")
"""Suffixes of models of other packages, whose files run code when they are read."""
POTENTIALS = (
    f"a file of keel ({', '.join(KEEL_SUFFIXES)}), a MACE model ({PICKLED_SUFFIXES[0]}), the folder of a model "
    "of matgl, or the import path of an ASE calculator"
)
"""What :func:`keel.open_potential` opens."""


@dataclass(frozen=True)
class FrameFormat:
    """A format of files with structures.

    Parameters
    ----------
    name
        What such files are.
    suffixes
        Suffixes that identify them.
    reader
        Import path of ``reader(path) -> Iterator[PendingFrame]``.
    writer
        Import path of ``writer(path, frames) -> int``, which returns the number of frames; None: only read. A writer of
        folders replaces existing ones itself.
    compressed
        Reader and writer take compressed files too.
    names
        Whole names that identify such files, with wildcards, case-insensitive.
    begins
        Regular expression found at the beginning of such files, and of no others; empty: the name decides.
    folder
        A path in it, with wildcards, that identifies a folder of this format; empty: it is a file.
    in_place
        Such files are read in place and cannot be compressed.
    """

    name: str
    suffixes: tuple[str, ...]
    reader: str
    writer: str | None = None
    compressed: bool = False
    names: tuple[str, ...] = ()
    begins: bytes = b""
    folder: str = ""
    in_place: bool = False

    def holds(self, path: Path) -> bool:
        """Whether a folder has this format."""
        return bool(self.folder) and next(path.glob(self.folder), None) is not None

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.suffixes or self.names)})"


XYZ = FrameFormat(
    "extended XYZ",
    (".extxyz", ".xyz"),
    "keel.atoms.formats.xyz_files.xyz_frames",
    "keel.atoms.formats.xyz_files.write_xyz",
    compressed=True,
    begins=rb"\A(?:\xef\xbb\xbf)?\s*\d+[^\S\n]*\n[^\n]*"
    rb"(?:(?i:properties|lattice)\s*=|\n[^\S\n]*[A-Z][a-z]?(?:[^\S\n]+[+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?){3}\s)",
)
FRAME_FORMATS: list[FrameFormat] = [
    XYZ,
    FrameFormat(
        "numpy archives",
        (".npz",),
        "keel.atoms.formats.npz.npz_frames",
        "keel.atoms.formats.npz.write_npz",
        in_place=True,
    ),
    FrameFormat(
        "ASE databases",
        (".db",),
        "keel.atoms.formats.ase_db.db_frames",
        "keel.atoms.formats.ase_db.write_db",
        in_place=True,
    ),
    FrameFormat(
        "JSON of MPtrj, MatPES or ASE",
        (".json", ".jsonl", ".ndjson"),
        "keel.atoms.formats.materials_json.json_frames",
        compressed=True,
    ),
    FrameFormat(
        "LMDB databases of ASE",
        (".aselmdb",),
        "keel.atoms.formats.ase_db.lmdb_frames",
        begins=rb"(?s)\A.{16}\xde\xc0\xef\xbe",
        folder="**/*.aselmdb",
        in_place=True,
    ),
    FrameFormat(
        "stores of `keel pack`",
        (".keel",),
        "keel.atoms.store.frames.open_store",
        "keel.atoms.store.packing.write_store",
        folder="store.json",
    ),
    FrameFormat(
        "parquet",
        (".parquet",),
        "keel.atoms.formats.parquet.parquet_frames",
        begins=rb"\APAR1",
        folder="**/*.parquet",
        in_place=True,
    ),
    FrameFormat(
        "systems of DeePMD",
        (),
        "keel.atoms.formats.deepmd.deepmd_frames",
        names=("type.raw",),
        folder="**/type.raw",
    ),
    FrameFormat(
        "configurations of MTP",
        (".cfg",),
        "keel.atoms.formats.mtp.mtp_frames",
        compressed=True,
        begins=rb"\A\s*BEGIN_CFG\b",
    ),
    FrameFormat(
        "data of RuNNer and n2p2",
        (),
        "keel.atoms.formats.runner.runner_frames",
        compressed=True,
        names=("input.data",),
        begins=rb"(?i)\A(?:\s*(?:#|!|comment\b)[^\n]*\n)*\s*begin\b[^\n]*\n(?:\s*comment[^\n]*\n)*\s*(?:lattice|atom|energy|charge)\s",
    ),
    FrameFormat(
        "VASP's ML_AB",
        (),
        "keel.atoms.formats.ml_ab.ml_ab_frames",
        compressed=True,
        names=("ML_AB", "ML_ABN"),
        begins=rb"\A\s*1\.0 Version\s*\n\s*\*{9}",
    ),
    FrameFormat(
        "output of VASP",
        ("vasprun.xml", "OUTCAR"),
        "keel.atoms.formats.vasp.vasp_frames",
        names=("*vasprun*.xml", "*vasprun*.xml.*", "*OUTCAR", "OUTCAR.*", "*.OUTCAR.*"),
        begins=rb"<modeling>|\A\s*vasp\.\d",
    ),
    FrameFormat("output of pw.x", (".pwo",), "keel.atoms.formats.espresso.pw_frames", begins=rb"Program PWSCF"),
    FrameFormat(
        "output of GPAW",
        (),
        "keel.atoms.formats.gpaw.gpaw_frames",
        names=("gpaw.txt",),
        begins=rb"(?m)^  ___ ___ ___ _ _ _",
    ),
    FrameFormat("trajectories of keel", (".h5", ".hdf5"), "keel.atoms.formats.hdf5.hdf5_frames", in_place=True),
    FrameFormat(
        "output of CASTEP",
        (".castep", ".geom"),
        "keel.atoms.formats.castep.castep_frames",
        begins=rb"\A\s*BEGIN header\s",
    ),
    FrameFormat(
        "dumps of LAMMPS",
        (".lammpstrj", ".dump"),
        "keel.atoms.formats.lammps_dump.dump_frames",
        compressed=True,
        begins=rb"\A\s*ITEM: (?:TIMESTEP|UNITS|TIME)\s",
    ),
]
"""Every format that keel knows by its suffix: a new reader or writer is one line here; plugins add theirs."""
OTHERS = FrameFormat(
    "any other format that ASE reads",
    (".traj", ".cif", "..."),
    "keel.atoms.formats.ase_files.ase_frames",
)


def register_reader(
    name: str, suffixes: Sequence[str] = (), *, names: Sequence[str] = (), begins: bytes = b""
) -> Callable[[Reader], Reader]:
    """Register a function as reader of a file format, as in ``@keel.register_reader("my code's output", [".mine"])``.

    It takes the path and yields ``ase.Atoms``, labels in a calculator or in ``info`` and ``arrays`` under the usual
    names, in eV and angstrom; or :class:`~keel.atoms.record.PendingFrame`, as keel's own readers do.

    Parameters
    ----------
    name, suffixes, names, begins
        See :class:`FrameFormat`.

    Raises
    ------
    ConfigError
        If another format has one of the suffixes, or nothing identifies such files.
    """

    def registered(reader: Reader) -> Reader:
        path = f"{reader.__module__}.{reader.__qualname__}"
        form = FrameFormat(name, tuple(suffixes), path, names=tuple(names), begins=begins)
        if not (form.suffixes or form.names or form.begins):
            raise ConfigError(
                f"the reader {form.reader}: give the suffixes, names or beginning that identify its files"
            )
        # It may be defined again by a notebook cell that is run twice.
        FRAME_FORMATS[:] = [other for other in FRAME_FORMATS if other.reader != form.reader]
        for other in FRAME_FORMATS:
            if taken := {*other.suffixes} & {*form.suffixes}:
                raise ConfigError(f"the reader {form.reader}: {taken.pop()} files already belong to {other.name}")
        remember(reader.__module__)
        FRAME_FORMATS.append(form)
        return reader

    return registered


def format_of(path: Path) -> FrameFormat | None:
    """Return the format given by a file's name or suffix (for compressed files, the one before ``.gz``), or None."""
    name = path.name.lower()
    named = (form for form in FRAME_FORMATS if any(fnmatch(name, pattern.lower()) for pattern in form.names))
    suffix = next((s for s in reversed(path.suffixes) if s.lower() not in COMPRESSED), "").lower()
    return next(named, None) or next((form for form in FRAME_FORMATS if suffix in form.suffixes), None)


def readable() -> str:
    """Return which files with structures are read."""
    return f"{', '.join(map(str, FRAME_FORMATS))}, or {OTHERS}, plain or compressed"


def folders() -> str:
    """Return which folders are read as one."""
    kinds = [f"{form.name} ({form.folder.removeprefix('**/')})" for form in FRAME_FORMATS if form.folder]
    return f"{', '.join(kinds[:-1])} or {kinds[-1]}"


def writable() -> str:
    """Return the suffixes of files with structures that can be written."""
    more = f" (also {', '.join(COMPRESSED)})"
    names = [", ".join(form.suffixes) + more * form.compressed for form in FRAME_FORMATS if form.writer]
    return f"{', '.join(names[:-1])} or {names[-1]}"


FRAMES_FILE = Output(
    tuple(suffix for form in FRAME_FORMATS if form.writer for suffix in form.suffixes),
    tuple(suffix for form in FRAME_FORMATS if form.writer and form.compressed for suffix in form.suffixes),
)
"""Where structures are written."""
TRAJECTORY_FILE = Output((*XYZ.suffixes, ".h5", ".hdf5", ".traj"), XYZ.suffixes)
"""Where trajectories are written."""
POTENTIAL_FILE = Output(KEEL_SUFFIXES[::-1])
"""Where potentials are written."""


def imported(path: str) -> Any:
    """Return the object at an import path, ``package.module.name``, or in a class there.

    Raises
    ------
    ImportError, ValueError, AttributeError
        If there is none.
    """
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name != module or "." not in module:
            raise
        return getattr(imported(module), name)
