"""Do other programs reproduce the numbers of a potential? Each is run as a user would run it."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.elements import MASSES
from keel.atoms.frame import Array, Frame
from keel.errors import ConfigError
from keel.interfaces.moving import Moving
from keel.potentials.base import Potential
from keel.potentials.external.ase import VACUUM
from keel.testing.structures import trial_frames

TRIED = ("periodic", "slab", "molecule", "one atom")
"""Trial structures (:func:`keel.testing.trial_frames`) on which engines are tried."""


class Numbers(NamedTuple):
    """Energy in eV, forces in eV/angstrom (N, 3), stress in eV/angstrom^3 (3, 3), None if there is none."""

    energy: float
    forces: Array
    stress: Array | None


@dataclass(frozen=True)
class Apart:
    """The difference of two programs, or its limit: energy in eV/atom, forces in eV/angstrom, stress in eV/angstrom^3.

    Limits apply to values up to 1 in these units, and relatively to larger ones.
    """

    energy: float = 1e-6
    forces: float = 1e-5
    stress: float = 1e-6


Evaluate = Callable[[Frame], Numbers]


@dataclass(frozen=True)
class Engine:
    """Another program.

    Parameters
    ----------
    module
        The Python module that shows whether it is installed.
    opened
        Takes a potential and an empty folder; returns a function that evaluates structures in that program.
    mixed
        Whether it takes structures that are periodic in some directions only.
    """

    module: str
    opened: Callable[[Potential, Path], Evaluate]
    mixed: bool = True

    @property
    def installed(self) -> bool:
        """Whether the program is installed."""
        return find_spec(self.module) is not None

    def takes(self, frame: Frame) -> bool:
        """Whether it can evaluate a structure."""
        return self.mixed or bool(frame.pbc.all()) or not frame.pbc.any()


def check_engine(
    engine: str | Evaluate, potential: Potential, structures: Structures | None = None, allowed: Apart = Apart()
) -> None:
    """Let another program evaluate a potential, and compare energies, forces and stress with our own.

    Parameters
    ----------
    engine
        A name in :data:`ENGINES`, or a function from a :class:`keel.Frame` to :class:`Numbers`.
    potential
        A potential, in the precision in which it is used.
    structures
        None: a crystal, a slab, a molecule and a single atom.
    allowed
        The largest differences allowed.

    Raises
    ------
    AssertionError
        One sentence: which number of which structure differs by how much.
    ConfigError
        If there is no such engine, or the potential cannot be run in it.
    UnavailableError
        If the engine is not installed.

    Examples
    --------
    >>> import keel
    >>> from keel.testing import check_engine
    >>> check_engine("ASE", keel.CGCNN(["Si", "O"], preset="small"))
    """
    frames = _trials(potential) if structures is None else as_frames(structures, labels=False)
    with evaluating(engine, potential) as (evaluate, takes):
        for frame in filter(takes, frames):
            found, largest = differences(evaluate, potential, frame)
            name = frame.source or frame.formula
            for part in fields(Apart):
                difference, limit = getattr(found, part.name), getattr(allowed, part.name)
                limit *= max(1.0, getattr(largest, part.name))
                # Not (difference > limit), so that NaN fails.
                assert difference <= limit, f"{name}: {part.name} differ by {difference:.2g}, more than {limit:.2g}"


def differences(evaluate: Evaluate, potential: Potential, frame: Frame) -> tuple[Apart, Apart]:
    """Return the differences of a structure's numbers in another program from ours, and the largest of ours."""
    ours, theirs = _by_keel(potential, Path())(frame), evaluate(frame)
    n, alone = len(frame), potential.offsets().cpu().numpy()[frame.numbers]
    stress = None if ours.stress is None or theirs.stress is None else (ours.stress, theirs.stress)
    return (
        Apart(
            abs(theirs.energy - ours.energy) / n,
            float(np.abs(theirs.forces - ours.forces).max(initial=0.0)),
            0.0 if stress is None else float(np.abs(stress[1] - stress[0]).max()),
        ),
        Apart(
            # Without energies of elements, which may be large but are exact.
            float(np.abs(ours.energy - alone.sum()) / n),
            float(np.abs(ours.forces).max(initial=0.0)),
            0.0 if stress is None else float(np.abs(stress[0]).max()),
        ),
    )


@contextmanager
def evaluating(engine: str | Evaluate, potential: Potential) -> Iterator[tuple[Evaluate, Callable[[Frame], bool]]]:
    """Open a potential in an engine; yield what evaluates structures, and whether it takes one."""
    if not isinstance(engine, str):
        yield engine, lambda _: True
        return
    if engine not in ENGINES:
        raise ConfigError(f"there is no engine {engine!r}; choose from {', '.join(ENGINES)}")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield ENGINES[engine].opened(potential, Path(folder)), ENGINES[engine].takes


def _trials(potential: Potential) -> list[Frame]:
    from keel.testing.rules import trial_elements

    elements = trial_elements(potential)
    return [frame.replace(source=name) for name in TRIED for frame in trial_frames(name, elements, potential.cutoff)]


def _by_keel(potential: Potential, _: Path) -> Evaluate:
    moving = Moving(potential)

    def evaluate(frame: Frame) -> Numbers:
        found = moving.evaluate(frame.numbers, frame.positions, frame.cell, frame.pbc)
        stress = found.virial / frame.volume if frame.pbc.all() else None
        return Numbers(float(found.energies.sum()), found.forces, stress)

    return evaluate


def _by_calculator(calculator: Any) -> Evaluate:
    def evaluate(frame: Frame) -> Numbers:
        atoms = frame.unlabelled().to_ase()
        atoms.calc = calculator
        stress = atoms.get_stress(voigt=False) if frame.pbc.all() else None
        return Numbers(float(atoms.get_potential_energy()), atoms.get_forces(), stress)

    return evaluate


def _by_ase(potential: Potential, _: Path) -> Evaluate:
    from keel.interfaces.ase import KeelCalculator

    return _by_calculator(KeelCalculator(potential))


def _by_metatomic(potential: Potential, folder: Path) -> Evaluate:
    from metatomic_ase import MetatomicCalculator

    from keel.interfaces.metatomic import write_metatomic

    write_metatomic(potential, folder / "model.pt")
    return _by_calculator(MetatomicCalculator(str(folder / "model.pt"), check_consistency=True, device="cpu"))


def _by_lammps(potential: Potential, _: Path) -> Evaluate:
    from ase.calculators.lammps import Prism

    from keel.interfaces.lammps import attach, start

    def evaluate(frame: Frame) -> Numbers:
        atoms = frame.unlabelled().to_ase()
        atoms.cell[~atoms.pbc] = 0.0
        if not atoms.pbc.all():
            atoms.center(vacuum=VACUUM, axis=np.flatnonzero(~atoms.pbc))
        prism = Prism(atoms.cell, pbc=atoms.pbc)
        x, y, z, xy, xz, yz = map(float, prism.get_lammps_prism())
        elements = sorted(set(frame.numbers.tolist()))
        lmp = start()
        lmp.commands_list(
            [
                "units metal",
                f"boundary {' '.join('p' if periodic else 'f' for periodic in atoms.pbc)}",
                "box tilt large",
                f"region box prism 0 {x} 0 {y} 0 {z} {xy} {xz} {yz}",
                f"create_box {len(elements)} box",
                *(f"mass {k + 1} {MASSES[z]}" for k, z in enumerate(elements)),
            ]
        )
        types = [elements.index(z) + 1 for z in frame.numbers.tolist()]
        positions = prism.vector_to_lammps(atoms.positions, wrap=True)
        lmp.create_atoms(len(frame), list(range(1, len(frame) + 1)), types, positions.ravel().tolist())
        attach(lmp, potential, elements)
        lmp.commands_list(["thermo_style custom step pe pxx pyy pzz pxy pxz pyz", "run 0 post no"])
        forces = np.array(lmp.gather_atoms("f", 1, 3)).reshape(-1, 3)
        energy = float(lmp.get_thermo("pe"))
        xx, yy, zz, xy, xz, yz = (-lmp.get_thermo(f"p{k}") / BAR for k in ("xx", "yy", "zz", "xy", "xz", "yz"))
        stress = prism.tensor2_to_ase(np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))
        lmp.close()
        return Numbers(energy, prism.vector_to_ase(forces), stress if frame.pbc.all() else None)

    return evaluate


BAR = 1.6021765e6
"""Bar in an eV/angstrom^3, as LAMMPS has it in units metal."""


def _by_torch_sim(potential: Potential, _: Path) -> Evaluate:
    import torch
    import torch_sim

    from keel.interfaces.torchsim import torch_sim_model

    model = torch_sim_model(potential)

    def evaluate(frame: Frame) -> Numbers:
        state = torch_sim.io.atoms_to_state([frame.unlabelled().to_ase()], torch.device("cpu"), torch.float64)
        found = {name: value.numpy() for name, value in model(state).items()}
        return Numbers(float(found["energy"][0]), found["forces"], found["stress"][0] if frame.pbc.all() else None)

    return evaluate


def _by_openmm(potential: Potential, _: Path) -> Evaluate:
    import openmm
    from ase.calculators.lammps import Prism
    from openmm.app.internal.unitcell import reducePeriodicBoxVectors

    from keel.interfaces.openmm import KJ_PER_MOL, NM, openmm_force

    def evaluate(frame: Frame) -> Numbers:
        periodic, positions = bool(frame.pbc.all()), frame.positions
        system, rotated = openmm.System(), None
        for number in frame.numbers.tolist():
            system.addParticle(float(MASSES[number]))
        if periodic:
            rotated = Prism(frame.cell, pbc=True)
            positions = rotated.vector_to_lammps(positions)
            x, y, z, xy, xz, yz = map(float, rotated.get_lammps_prism())
            box = np.array([[x, 0.0, 0.0], [xy, y, 0.0], [xz, yz, z]]) / NM
            system.setDefaultPeriodicBoxVectors(*reducePeriodicBoxVectors(box))
        system.addForce(openmm_force(potential, frame.numbers.tolist(), periodic=periodic))
        context = openmm.Context(system, openmm.VerletIntegrator(1e-3), openmm.Platform.getPlatformByName("Reference"))
        context.setPositions(positions / NM)
        state = context.getState(energy=True, forces=True)
        forces = np.array(state.getForces(asNumpy=True)._value) / (KJ_PER_MOL * NM)
        energy = float(state.getPotentialEnergy()._value) / KJ_PER_MOL
        return Numbers(energy, forces if rotated is None else rotated.vector_to_ase(forces), None)

    return evaluate


ENGINES: Mapping[str, Engine] = {
    "ASE": Engine("ase", _by_ase),
    "metatomic": Engine("metatomic_ase", _by_metatomic),
    "LAMMPS": Engine("lammps", _by_lammps),
    "torch-sim": Engine("torch_sim", _by_torch_sim, mixed=False),
    "OpenMM": Engine("openmm", _by_openmm, mixed=False),
}
"""Programs by name: the calculator, the exported file in metatomic's calculator, ``fix external``, the adapters."""


def engines_for(names: Sequence[str] | None = None) -> dict[str, Engine]:
    """Return the engines of these names, or all, that are installed."""
    known = ENGINES if names is None else {name: ENGINES[name] for name in names}
    return {name: engine for name, engine in known.items() if engine.installed}
