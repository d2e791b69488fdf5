"""Calculations whose electrons did not converge, in outputs of which ASE reads all numbers alike.

Gaussian, NWChem, ORCA, CASTEP and FHI-aims say so before the energy, beside it or after it, and go on. ASE's readers
merge and drop structures by rules of their own (ASE 3.29); a structure is therefore known by its energy, as it is
printed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING

from ase.units import Hartree

from keel.atoms.labelling.convergence import UNCONVERGED
from keel.atoms.labelling.labelled import record_of_ase
from keel.atoms.record import Record

if TYPE_CHECKING:
    from ase import Atoms

_NUMBER = re.compile(r"-?\d+\.\d+(?:[DdEe][-+]?\d+)?")
_NOTE = re.compile(r"\((?:SCF|Wavefunction) not fully converged!\)")
"""What ORCA writes beside an energy, where ASE expects the number."""


@dataclass(frozen=True)
class Program:
    """What a program prints: where an SCF fails, its energy, and energies computed from it; its unit in eV.

    ``late``: it may say only after the energy that the SCF failed; ``energy`` is then a line that begins each SCF.
    """

    failed: tuple[str, ...]
    energy: tuple[str, ...]
    derived: tuple[str, ...] = ()
    unit: float = Hartree
    late: bool = False

    def failures(self, lines: Iterable[str]) -> frozenset[float]:
        """Return the energies of calculations that did not converge, as they are printed."""
        found, failed, next_fails = set[float](), False, False
        for line in self._failure_first(lines) if self.late else lines:
            next_fails |= self._fails(line)
            if self.is_energy(line):
                failed, next_fails = next_fails, False
            elif not any(words in line for words in self.derived):
                continue
            if failed:
                found.update(float(re.sub("[Dd]", "e", number)) for number in _NUMBER.findall(line))
        return frozenset(found)

    def is_energy(self, line: str) -> bool:
        """Return whether a line has the energy of a structure."""
        return any(words in line for words in self.energy)

    def _fails(self, line: str) -> bool:
        return any(words in line for words in self.failed)

    def _failure_first(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield the lines of each SCF, those first that say that it failed."""
        scf: list[str] = []
        for line in chain(lines, self.energy):
            if self.is_energy(line):
                yield from sorted(scf, key=self._fails, reverse=True)
                scf = []
            scf.append(line)

    def holds(self, failures: frozenset[float], atoms: Atoms) -> bool:
        """Return whether the energy of a structure is that of a calculation that did not converge."""
        results = {} if atoms.calc is None else atoms.calc.results
        energies = [float(v) / self.unit for name, v in results.items() if "energy" in name and isinstance(v, float)]
        return any(math.isclose(energy, failure, rel_tol=1e-10) for energy in energies for failure in failures)


PROGRAMS: Mapping[str, Program] = MappingProxyType(
    {
        "gaussian-out": Program(
            ("Convergence criterion not met.",),
            ("SCF Done:",),
            ("E2 =", "E3 =", "E4(", "DEMP5 =", "E2(", "amplitudes converged. E(Corr)", "CCSD(T)="),
        ),
        "nwchem-out": Program(
            ("Calculation failed to converge",),
            ("Total DFT energy", "Total SCF energy"),
            ("Total MP2 energy", "Total CCSD energy", "total energy / hartree", "Excited state energy"),
        ),
        "orca-output": Program(
            ("SCF NOT CONVERGED AFTER", "not fully converged!"),
            ("FINAL SINGLE POINT ENERGY",),
        ),
        "castep-castep": Program(
            ("system has not reached the groundstate", "electronic minimisation did not converge"),
            ("Final energy",),
            ("Final free energy", "NB est. 0K energy", "Dispersion corrected final", "NB dispersion corrected"),
            unit=1.0,
        ),
        "gamess-us-out": Program(("SCF IS UNCONVERGED",), (" ENERGY IS ",), ("E(MP2)=",)),
        "aims-output": Program(
            ("SELF-CONSISTENCY CYCLE DID NOT CONVERGE",),
            ("Begin self-consistency loop",),
            ("| Electronic free energy",),
            unit=1.0,
            late=True,
        ),
    }
)
"""Programs by ASE's name of their output."""


def without_notes(text: str) -> str:
    """Return an output without what ASE takes for a number."""
    return _NOTE.sub("", text)


def record_of_scf(program: Program, failures: frozenset[float], atoms: Atoms, source: str) -> Record:
    """Return what an ``ase.Atoms`` says, and whether its electrons did not converge."""
    record = record_of_ase(atoms, source)
    record.unconverged = UNCONVERGED if program.holds(failures, atoms) else None
    return record
