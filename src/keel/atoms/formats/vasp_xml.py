"""VASP's vasprun.xml, read as a stream, one ionic step after the other.

ASE's reader takes a step whose electrons did not converge like any other, and silently drops the last step of a file
that was cut off (ASE 3.29). See https://www.vasp.at/wiki/Vasprun.xml.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers.expat import errors

import numpy as np
from numpy.typing import NDArray

from keel.atoms.elements import atomic_number
from keel.atoms.formats.ase_files import broken_frame
from keel.atoms.formats.compression import opened
from keel.atoms.formats.vasp_settings import stated
from keel.atoms.frame import Array
from keel.atoms.labelling.convergence import UNCONVERGED
from keel.atoms.motion_columns import fixed_along
from keel.atoms.record import LabelKeys, PendingFrame, Record
from keel.atoms.units import GPA
from keel.errors import DataError

MACHINE_LEARNED = "no electronic steps (VASP's own machine-learned forces)"
KEYS = LabelKeys(stress="stress", stress_convention="vasp-kbar")
CUT_OFF = [errors.codes[said] for said in (errors.XML_ERROR_NO_ELEMENTS, errors.XML_ERROR_UNCLOSED_TOKEN)]
"""Errors of a document that ends too early."""
FREE, ZERO = "e_fr_energy", "e_0_energy"
PRINTED = 2e-8
"""eV by which a difference of two energies and EDIFF, of eight decimals each, may be off; EDIFF=1E-9 is printed as
0."""


@dataclass
class _Run:
    """What precedes the steps."""

    numbers: NDArray[np.int64] | None = None
    held: NDArray[np.bool_] | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    potentials: list[str] = field(default_factory=list)
    valence: float | None = None
    stated: dict[str, Any] = field(default_factory=dict)

    def number(self, name: str, default: float) -> float:
        return float(self.parameters.get(name, default))


def vasprun_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the frames of a vasprun.xml; the incomplete step of a file that was cut off comes out as damaged.

    Raises
    ------
    DataError
        If it ends before its first step, or is not a vasprun.xml.
    """
    run, index, open_step = _Run(), 0, False
    with opened(path) as stream:
        try:
            for event, element in _elements(stream):
                if element.tag == "calculation":
                    open_step = event == "start"
                    if not open_step:
                        yield PendingFrame(source := f"{path}, frame {index}", partial(_record, element, run, source))
                        index += 1
                elif event == "end":
                    _take(run, element)
                    run.stated = stated(run.parameters, run.potentials, run.valence)
        except ElementTree.ParseError as error:
            if open_step:
                yield broken_frame(f"{path}, frame {index}", "the file is cut off or damaged within this ionic step")
            elif not index:
                raise DataError(
                    f"{path}: the XML is cut off or damaged before the first ionic step ({error})"
                ) from None
            elif error.code not in CUT_OFF:
                after = f"the XML is damaged after frame {index - 1} ({error}), and what follows is not read"
                yield broken_frame(f"{path}, frame {index}", after)
    if not index and not open_step:
        raise DataError(f"{path}: it contains no ionic step")


def _elements(stream: IO[bytes]) -> Iterator[tuple[str, Element]]:
    """Yield the start and the end of top-level elements; the memory of a step is freed with its frame."""
    depth, root = 0, None
    for event, element in ElementTree.iterparse(stream, events=("start", "end")):
        root = element if root is None else root
        depth += 1 if event == "start" else -1
        if depth == (2 if event == "start" else 1):
            yield event, element
            if event == "end":
                root.remove(element)


def _take(run: _Run, element: Element) -> None:
    if element.tag in ("incar", "parameters"):
        found = {i.get("name", "").upper(): (i.text or "").strip() for tag in ("i", "v") for i in element.iter(tag)}
        run.parameters |= {name: value for name, value in found.items() if value}
    elif element.tag == "atominfo":
        symbols = [(rc[0].text or "").strip() for rc in element.findall("array[@name='atoms']/set/rc")]
        run.numbers = np.array([atomic_number(symbol) for symbol in symbols], dtype=np.int64)
        types = [[(c.text or "").strip() for c in rc] for rc in element.findall("array[@name='atomtypes']/set/rc")]
        if types and all(len(row) >= 5 for row in types):
            run.valence = sum(float(row[0]) * float(row[3]) for row in types)
            run.potentials = [" ".join(row[4].split()) for row in types]
    elif element.tag == "structure" and element.get("name") == "initialpos":
        flags = [(v.text or "").split() for v in element.findall("varray[@name='selective']/v")]
        run.held = np.array([[flag == "F" for flag in row] for row in flags], dtype=bool) if flags else None


def _record(step: Element, run: _Run, source: str) -> Record:
    try:
        return _understood(step, run, source)
    except DataError as error:
        raise DataError(f"{source}: {error}") from None
    except (ValueError, TypeError) as error:
        raise DataError(f"{source}: a number in it cannot be read ({error})") from None


def _understood(step: Element, run: _Run, source: str) -> Record:
    if run.numbers is None:
        raise DataError("vasprun.xml names no elements before this ionic step")
    cell = _rows(step, "structure/crystal/varray[@name='basis']/v")
    scaled = _rows(step, "structure/varray[@name='positions']/v")
    if cell.shape != (3, 3) or scaled.shape != (len(run.numbers), 3):
        raise DataError("its cell or positions are not complete")
    forces, stress = (_rows(step, f"varray[@name='{name}']/v") for name in ("forces", "stress"))
    fixed, remarks = fixed_along(run.held, cell)
    return Record(
        numbers=run.numbers,
        positions=scaled @ cell,
        cell=cell,
        pbc=np.ones(3, dtype=bool),
        info=run.stated
        | _energies(step, run, abs(float(np.linalg.det(cell))))
        | ({"stress": stress} if stress.size else {}),
        arrays={"forces": forces} if forces.size else {},
        source=source,
        usual=KEYS,
        fixed=fixed,
        remarks=remarks,
        unconverged=_unconverged(step, run),
    )


def _rows(step: Element, path: str) -> Array:
    return np.array([(v.text or "").split() for v in step.findall(path)], dtype=np.float64)


def _energy(step: Element, name: str) -> float | None:
    found = step.find(f"energy/i[@name='{name}']")
    return None if found is None else float(found.text or "")


def _energies(step: Element, run: _Run, volume: float) -> dict[str, float]:
    """Return the free energy and the one extrapolated to zero smearing.

    With PSTRESS, the energy of an ionic step is an enthalpy; and its own extrapolated energy is not one, so that the
    difference of the two is taken from the last electronic step.
    """
    free = _energy(step, FREE)
    if free is None:
        raise DataError("it has no energy")
    free -= run.number("PSTRESS", 0.0) * 0.1 * GPA * volume
    last = (step.findall("scstep") or [step])[-1]
    pair = _energy(last, ZERO), _energy(last, FREE)
    return {"free_energy": free} | ({} if None in pair else {"energy": free + pair[0] - pair[1]})  # type: ignore[operator]


def _unconverged(step: Element, run: _Run) -> str | None:
    """Say that the last electronic step still changed the energy by more than EDIFF, or that there was none.

    VASP stops when energy and eigenvalues change by less than EDIFF, but also after NELM steps, and when STOPCAR says
    LABORT. With its first step and with the last it prints all parts of the energy: linear response may follow.
    """
    loop = step.findall("scstep")
    parts = [len(electronic.findall("energy/i")) for electronic in loop]
    end = next((k for k in range(1, len(loop)) if parts[k] > parts[k - 1]), len(loop) - 1)
    last = [_energy(electronic, FREE) for electronic in loop[: end + 1][-2:]]
    if not last:
        return MACHINE_LEARNED
    if len(last) == 1 and run.number("NELMIN", 2) < 2 <= run.number("NELM", 60):
        return None  # Wave functions that MD extrapolates may do at once, and nothing says how far they were off.
    changed = np.inf if len(last) < 2 or None in last else abs(last[1] - last[0])  # type: ignore[operator]
    return UNCONVERGED if changed > abs(run.number("EDIFF", 1e-4)) + PRINTED else None
