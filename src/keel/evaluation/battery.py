"""The probes of `keel assess`, in groups that share what they need."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial, update_wrapper
from typing import TypeVar

from keel.dynamics.simulate import simulate
from keel.errors import ConfigError, KeelError, KeelWarning, RefusedError, UnavailableError
from keel.evaluation.check import CheckResult, Outcome
from keel.evaluation.clusters.bond_scans import bond_scans
from keel.evaluation.clusters.diatomics import diatomics
from keel.evaluation.clusters.trimers import trimers
from keel.evaluation.equilibrium.compression import compression
from keel.evaluation.equilibrium.elastic import elastic
from keel.evaluation.equilibrium.equation_of_state import equation_of_state
from keel.evaluation.equilibrium.phonons import phonons
from keel.evaluation.equilibrium.relaxation import relaxation, relaxed_once
from keel.evaluation.equilibrium.squeeze import various_crystals
from keel.evaluation.equilibrium.stretching import stretching
from keel.evaluation.equilibrium.vacancy import vacancy
from keel.evaluation.exact.conservation import NVE, force_consistency, nve_drift
from keel.evaluation.exact.elsewhere import NAME as THE_SAME
from keel.evaluation.exact.elsewhere import elsewhere
from keel.evaluation.exact.invariance import invariance
from keel.evaluation.exact.jacobian import jacobian_symmetry
from keel.evaluation.exact.locality import extensivity, locality
from keel.evaluation.exact.smoothness import smoothness
from keel.evaluation.labels.against_labels import contact_errors, errors
from keel.evaluation.stability.md_stability import md_stability
from keel.evaluation.structure.angles import bond_angles
from keel.evaluation.structure.density import density
from keel.evaluation.structure.diffusion import diffusion
from keel.evaluation.structure.pair_structure import pair_structure
from keel.evaluation.subject import Subject
from keel.plugins import discover, failure_in, register, source_of

Progress = Callable[[int, int], None]
Results = tuple[CheckResult, ...]
Group = Callable[["Subject", Progress], Results]

Probe = TypeVar("Probe", bound=Callable[..., CheckResult | Sequence[CheckResult]])

STRUCTURE = ("pair structure", "bond angles", "diffusion")
"""Probes of recorded simulations."""
TITLES = {
    "stability": ("MD stability",),
    "contacts": ("errors by contact",),
    "structure": STRUCTURE,
    "elsewhere": (THE_SAME,),
    "compression": ("compression", "stretching"),
}
"""Names of probes that differ from the name of their group."""
RECORDED_FS = 10.0
"""Time between two recorded structures."""


def in_turn(probes: Mapping[str, Callable[[], CheckResult]], progress: Progress) -> Results:
    """Return the result of each probe by its name; a refusal by the potential is a verdict like any other.

    A probe for which a package is not installed is skipped.
    """
    results = []
    for k, (name, probe) in enumerate(probes.items()):
        try:
            results.append(probe())
        except UnavailableError as error:
            results.append(CheckResult(name, (), (), "skipped", str(error)))
        except RefusedError as error:
            results.append(CheckResult(name, (), (), "failed", str(error)))
        progress(k + 1, len(probes))
    return tuple(results)


def exact(subject: Subject, progress: Progress) -> Results:
    """Properties of every potential, whatever the material: derivatives, symmetries, conservation."""
    potential, few, settings = subject.potential, subject.few, subject.settings
    probes: dict[str, Callable[..., CheckResult]] = {
        "force consistency": force_consistency,
        "Jacobian symmetry": jacobian_symmetry,
        "smoothness": smoothness,
        "invariance": invariance,
        "extensivity": extensivity,
        "locality": locality,
    }
    judged = {name: partial(p, potential, few, seed=settings.seed, dtype=subject.dtype) for name, p in probes.items()}
    drift = partial(nve_drift, potential, few[: settings.nve_starts], settings.md(NVE.temperature, NVE.length_fs))
    return in_turn({**judged, "NVE drift": drift}, progress)


def clusters(subject: Subject, progress: Progress) -> Results:
    """Two atoms, three, and bonds of structures that are not crystals."""
    potential, beside, dtype = subject.potential, subject.beside, subject.dtype
    probes: dict[str, Callable[[], CheckResult]] = {
        "diatomics": partial(diatomics, potential, subject.elements, beside=beside, dft=subject.dimers, dtype=dtype),
        "trimers": partial(trimers, potential, elements=subject.elements, dtype=dtype),
    }
    if molecules := [f for f in subject.few if not f.pbc.any()]:
        probes["bond scans"] = partial(bond_scans, potential, molecules, beside=beside, dtype=dtype)
    return in_turn(probes, progress)


def programs(subject: Subject, progress: Progress) -> Results:
    """Other programs that run the potential."""
    potential, few, seed = subject.potential, subject.few, subject.settings.seed
    return (elsewhere(potential, few, seed=seed, dtype=subject.dtype, callback=progress),)


def deformed(subject: Subject, progress: Progress) -> Results:
    """Crystals squeezed and pulled apart, that of the subject among them."""
    others = [frame for frame in various_crystals(subject.frames) if frame is not subject.crystal]
    crystals = [subject.crystal, *others]
    probes = {
        "compression": partial(compression, subject.potential, crystals, beside=subject.beside),
        "stretching": partial(stretching, subject.potential, crystals),
    }
    return in_turn(probes, progress)


def equilibrium(subject: Subject, progress: Progress) -> Results:
    """Properties of the crystal at rest."""
    probes: dict[str, Callable[..., CheckResult]] = {
        "equation of state": equation_of_state,
        "elastic constants": elastic,
        "phonons": phonons,
        "vacancy": vacancy,
    }
    relax = relaxed_once()
    rest = in_turn({"relaxation": partial(relaxation, subject.potential, subject.crystal, relax=relax)}, progress)
    # So that each probe starts from its end, where there is one.
    crystal = rest[0].films[-1].frames[-1] if rest[0].films else subject.crystal
    others = {
        name: partial(p, subject.potential, crystal, beside=subject.beside, relax=relax) for name, p in probes.items()
    }
    return (*rest, *in_turn(others, progress))


def structure(subject: Subject, progress: Progress) -> Results:
    """Distances, angles and diffusion in one set of simulations at the temperature of the reference."""
    every = max(1, round(RECORDED_FS / subject.md.timestep_of(subject.starts)))
    settings = subject.md.replace(record_every=every)
    runs = simulate(subject.potential, subject.starts, settings, callback=progress)
    if dead := [run for run in runs if not run.snapshots]:
        why = f"{len(dead)} of {len(runs)} simulations failed at once ({dead[0].cause})"
        return tuple(CheckResult(name, (), (), "failed", why) for name in STRUCTURE)
    if not subject.reference:
        why = "there are no reference frames at this temperature"
        skipped = (CheckResult(name, (), (), "skipped", why) for name in STRUCTURE[:2])
        return (*skipped, diffusion(runs))
    distances = pair_structure(runs, subject.reference, by=subject.settings.by)
    return distances, bond_angles(runs, subject.reference, by=subject.settings.by), diffusion(runs)


def volume(subject: Subject, progress: Progress) -> Results:
    """Density under constant pressure."""
    periodic = [f for f in subject.starts if f.pbc.all()]
    if not periodic:
        return (CheckResult("density", (), (), "skipped", "no structure is periodic in three directions"),)
    found = density(
        subject.potential,
        periodic,
        subject.md.replace(pressure=subject.settings.pressure),
        reference=[f for f in subject.reference if f.pbc.all()] or None,
        by=subject.settings.by,
        callback=progress,
    )
    return (found,)


def stability(subject: Subject, progress: Progress) -> Results:
    """First-passage stability on a ladder."""
    return (md_stability(subject.potential, subject.starts, subject.settings, callback=progress),)


BATTERY: dict[str, Group] = {
    "stability": stability,
    "accuracy": lambda subject, _: (errors(subject.potential, subject.frames),),
    "contacts": lambda subject, _: (contact_errors(subject.potential, subject.frames),),
    "structure": structure,
    "density": volume,
    "clusters": clusters,
    "exact": exact,
    "elsewhere": programs,
    "compression": deformed,
    "equilibrium": equilibrium,
}
"""Groups of probes by name, in the order of the page."""


def register_probe(name: str) -> Callable[[Probe], Probe]:
    """Register a function as a probe: ``@keel.register_probe("melting")``.

    It takes a :class:`Subject` and returns a :class:`~keel.evaluation.CheckResult`, or several. `keel assess` applies
    it to every potential, and `keel run` to every network that it trains if ``evaluation: {probes: [melting]}`` says
    so.

    Raises
    ------
    ConfigError
        If another group of probes has this name.
    """

    def registered(probe: Probe) -> Probe:
        def group(subject: Subject, _: Progress) -> Results:
            try:
                found = probe(subject)
            except KeelError:
                raise
            except Exception as error:
                # Of the probe, not of the potential: the others go on.
                if not (why := failure_in(error)):
                    raise
                warnings.warn(why, KeelWarning, stacklevel=2)
                return (CheckResult(name, (), (), "skipped", why),)
            return (found,) if isinstance(found, CheckResult) else tuple(found)

        register("probe", name, update_wrapper(group, probe), BATTERY)
        return probe

    return registered


def probed(name: str, subject: Subject, progress: Progress) -> Results:
    """Apply a group of probes to a potential; if it refuses what the whole group needs, that is the verdict."""
    outcome: Outcome
    try:
        return _group(name)(subject, progress)
    except RefusedError as error:
        outcome, why = "failed", str(error)
    except UnavailableError as error:
        outcome, why = "skipped", str(error)
    return tuple(CheckResult(title, (), (), outcome, why) for title in TITLES.get(name, (name,)))


def code_of(name: str) -> str:
    """Return the code of a plugin's probe; empty for keel's own."""
    group = _group(name)
    return source_of(getattr(group, "__wrapped__", group))


def _group(name: str) -> Group:
    if name not in BATTERY:
        discover()
    return BATTERY[name]


def groups_of(names: Sequence[str] | None) -> list[str]:
    """Return the names of groups of probes in the order of the page; None means all.

    Raises
    ------
    ConfigError
        If a name is not that of a group, or the list is empty.
    """
    discover()
    if unknown := [name for name in names or () if name not in BATTERY]:
        raise ConfigError(f"there are no probes {', '.join(unknown)}; choose from {', '.join(BATTERY)}")
    found = [name for name in BATTERY if names is None or name in names]
    if not found:
        raise ConfigError(f"no probes are named; choose from {', '.join(BATTERY)}")
    return found
