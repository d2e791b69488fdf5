"""VASP's OUTCAR: ASE's parsers, one ionic step after the other, with a check of whether the electrons converged.

See https://www.vasp.at/wiki/OUTCAR.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, TextIO

from keel.atoms.formats.ase_files import broken_frame, guarded
from keel.atoms.formats.compression import opened_text
from keel.atoms.formats.vasp_settings import of_outcar
from keel.atoms.formats.vasp_xml import MACHINE_LEARNED
from keel.atoms.labelling.convergence import UNCONVERGED
from keel.atoms.labelling.labelled import record_of_ase
from keel.atoms.record import PendingFrame, Record
from keel.errors import DataError

END_OF_STEP, LINES_AFTER = "FREE ENERGIE OF THE ION-ELECTRON SYSTEM", 4
ELECTRONIC, CONVERGED = "Iteration", "aborting loop because EDIFF is reached"
BEGINS = re.compile(r"\bIteration\b|- Ionic step\b")
"""Begins the first step: VASP's machine-learned forces have no electronic iterations."""
LEARNED = {"energy ML TOTEN": "energy   TOTEN", "ML energy": "energy"}
"""What VASP prints for energies of its machine-learned force field, and for its own."""
END_OF_RUN = "General timing and accounting"


def outcar_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the frames of an OUTCAR; the incomplete step of a file that was cut off comes out as damaged.

    Raises
    ------
    DataError
        If it ends before its first electronic step.
    """
    from ase.io.vasp_parsers import vasp_outcar_parsers as parsers

    with opened_text(path) as stream:
        lines = _head(stream, path)
        # Eigenvalues are not needed, and reading them fails most often.
        reader = parsers.OutcarHeaderParser([parsers.SpeciesTypes(), parsers.IonsPerSpecies()])
        header = guarded(lambda: reader.build(lines), path)
        header["constraint"] = _constraints(path, header["symbols"])
        header["stated"] = of_outcar(lines, [len(list(same)) for _, same in groupby(header["symbols"])])
        for index, (step, whole) in enumerate(_steps(lines[-1:], stream)):
            source = f"{path}, frame {index}"
            if whole:
                yield PendingFrame(source, partial(_record, step, header, source))
            else:
                yield broken_frame(source, "the file is cut off within this ionic step")


def _head(stream: TextIO, path: Path) -> list[str]:
    """Return the lines up to the one that begins the first step."""
    lines = []
    for line in stream:
        lines.append(line)
        if BEGINS.search(line):
            return lines
    raise DataError(f"{path}: the OUTCAR ends before its first ionic step")


def _steps(step: list[str], stream: TextIO) -> Iterator[tuple[list[str], bool]]:
    """Yield the lines of each ionic step, and whether it was written to its end."""
    for line in stream:
        step.append(line)
        if END_OF_STEP in line:
            step += [stream.readline() for _ in range(LINES_AFTER)]
            yield step, bool(step[-1])
            step = []
    if any(BEGINS.search(line) for line in step) and not any(END_OF_RUN in line for line in step):
        yield step, False


def _record(step: list[str], header: dict[str, Any], source: str) -> Record:
    from ase.io.vasp_parsers import vasp_outcar_parsers as parsers

    wanted = (parsers.Cell, parsers.PositionsAndForces, parsers.Stress, parsers.Energy, parsers.Magmoms, parsers.Magmom)
    reader = parsers.OutcarChunkParser(header, [parser() for parser in wanted])
    end = step[-LINES_AFTER:]
    for learned, own in LEARNED.items():
        end = [line.replace(learned, own) for line in end]
    by_vasp = step[:-LINES_AFTER] + end
    record = record_of_ase(guarded(lambda: reader.build(by_vasp), source), source)
    record.info |= header["stated"]
    if by_vasp != step or not any(ELECTRONIC in line for line in step):
        record.unconverged = MACHINE_LEARNED
    elif not any(CONVERGED in line for line in step):
        record.unconverged = UNCONVERGED
    return record


def _constraints(path: Path, symbols: list[str]) -> list[Any] | None:
    """Return what CONTCAR or POSCAR beside an OUTCAR hold fixed, if they have the same atoms; OUTCAR does not."""
    from ase.io.vasp import read_vasp

    for name in ("CONTCAR", "POSCAR"):
        beside = path.with_name(name)
        try:
            atoms = read_vasp(str(beside))
        except Exception:  # It is absent or unfinished; OUTCAR itself is complete.
            continue
        if list(atoms.symbols) == list(symbols):
            return list(atoms.constraints)
    return None
