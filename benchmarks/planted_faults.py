"""Faults planted in sound labels: how many of them a census finds, and what it finds where there are none.

    OMP_NUM_THREADS=1 python benchmarks/planted_faults.py ../shared/data

Every file of extended XYZ below the folder, except those in ``far/``, is read once; each fault that its labels allow is
planted into a copy in memory, and the copy goes through the census and the judges. A fault is found if they say
something, as a warning or a refusal, that they do not say of the sound file. A component order is planted only where
stresses have shear to speak of: elsewhere it changes nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from keel.atoms.census import take_census
from keel.atoms.frame import Array, Frame
from keel.atoms.read import iter_frames
from keel.atoms.soundness.unknown import without_placeholders
from keel.atoms.units import BOHR, GPA, HARTREE
from keel.fitting.judge import judge

Fault = Callable[[Frame, np.random.Generator], Frame]
SHARE, TIMES = 0.02, 5.0


def with_forces(change: Callable[[Array, np.random.Generator], Array]) -> Fault:
    """Return a fault of the forces."""
    return lambda f, rng: f if f.forces is None else f.replace(forces=change(f.forces, rng))


def with_energy(change: Callable[[float, int], float]) -> Fault:
    """Return a fault of the energy, from it and the number of atoms."""
    return lambda f, _: f if f.energy is None else f.replace(energy=change(f.energy, len(f)))


def with_stress(change: Callable[[Array, float], Array]) -> Fault:
    """Return a fault of the stress, from it and the volume."""
    return lambda f, _: f if f.stress is None else f.replace(stress=change(f.stress, f.volume))


def reordered(stress: Array) -> Array:
    """Return the stress whose six numbers stood in VASP's order and were read in ASE's."""
    result = np.diag(np.diag(stress))
    shear = (stress[0, 1], stress[1, 2], stress[0, 2])
    for (i, j), value in zip(((1, 2), (0, 2), (0, 1)), shear, strict=True):
        result[i, j] = result[j, i] = value
    return result


FAULTS: Mapping[str, tuple[str, Fault]] = {
    "forces x -1": ("forces", with_forces(lambda f, _: -f)),
    "forces in hartree/bohr": ("forces", with_forces(lambda f, _: f * BOHR / HARTREE)),
    "forces shuffled": ("forces", with_forces(lambda f, rng: f[rng.permutation(len(f))])),
    "forces of 2 % x 5": ("forces", with_forces(lambda f, _: f)),  # planted by frame, see below
    "energies per atom": ("energy", with_energy(lambda e, n: e / n)),
    "energies in hartree": ("energy", with_energy(lambda e, _: e / HARTREE)),
    "stress x -1": ("stress", with_stress(lambda s, _: -s)),
    "stress in kbar": ("stress", with_stress(lambda s, _: 10.0 * s / GPA)),
    "stress in GPa": ("stress", with_stress(lambda s, _: s / GPA)),
    "stress as virial": ("stress", with_stress(lambda s, v: -v * s)),
    "stress reordered": ("stress", with_stress(lambda s, _: reordered(s))),
}


def planted(name: str, frames: Sequence[Frame]) -> list[Frame]:
    """Return the frames with one fault."""
    rng = np.random.default_rng(1)
    if name == "forces of 2 % x 5":
        wrong = set(rng.permutation(len(frames))[: max(1, round(SHARE * len(frames)))].tolist())
        return [
            f.replace(forces=TIMES * f.forces) if k in wrong and f.forces is not None else f
            for k, f in enumerate(frames)
        ]
    return [FAULTS[name][1](f, rng) for f in frames]


def matters(name: str, frames: Sequence[Frame]) -> bool:
    """Whether a fault changes more than a hundredth of a label."""
    label = FAULTS[name][0]
    if all(getattr(f, label) is None for f in frames):
        return False
    if name != "stress reordered":
        return True
    stresses = [f.stress for f in frames if f.stress is not None]
    change = [np.sum((s - reordered(s)) ** 2) for s in stresses]
    return bool(np.sqrt(np.sum(change) / np.sum(np.square(stresses))) > 0.01)


def said(frames: Sequence[Frame]) -> tuple[dict[str, str], float, float]:
    """Return warnings and refusals by how they begin, and seconds of the census and of the judges."""
    start = time.process_time()
    usable = without_placeholders(frames)
    census = take_census(usable)
    middle = time.process_time()
    findings = (*census.findings, *judge(usable, (census.forces, census.stress)).findings)
    messages = [f.message for f in findings if f.level in ("warn", "refuse")]
    kinds = {" ".join(w for w in m.split() if not any(c.isdigit() for c in w))[:40]: m for m in messages}
    return kinds, middle - start, time.process_time() - middle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default="../shared/data")
    parser.add_argument("--verbose", action="store_true", help="print what was said of each fault")
    arguments = parser.parse_args()
    found = tried = 0
    for path in sorted(p for p in Path(arguments.folder).rglob("*.extxyz") if "far" not in p.parts):
        frames = list(iter_frames(path))
        sound, cheap, judged = said(frames)
        print(f"{path.parent.name}/{path.name}: census {cheap:.1f} s, judges {judged:.1f} s of one core")
        for message in sound.values():
            print(f"  said of the sound file: {message}")
        for name in FAULTS:
            if matters(name, frames):
                new = {k: m for k, m in said(planted(name, frames))[0].items() if k not in sound}
                tried, found = tried + 1, found + bool(new)
                print(f"  {name:24} {'found' if new else 'NOT FOUND'}", flush=True)
                for message in new.values() if arguments.verbose else ():
                    print(f"      {message}")
    print(f"{found} of {tried} faults found ({found / max(tried, 1):.0%})")


if __name__ == "__main__":
    main()
