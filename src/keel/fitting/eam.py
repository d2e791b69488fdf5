"""Fitting an EAM potential to labelled frames: seconds for a few elements, a minute for eighty-five.

The problem is linear in offsets, pair and embedding energies. A grid of exponents is solved exactly by non-negative
least squares, the best starts are refined on few frames, and the winner on many, all in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits
from torch import Tensor

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.frame import Frame
from keel.atoms.isolated import energies_alone, set_apart
from keel.atoms.selecting import in_memory
from keel.atoms.within_reach import check_cutoff
from keel.errors import DataError, advice
from keel.fitting.angular import fitted, unfitted
from keel.fitting.contacts import contacts_in, pairs_without_data, with_core, with_walls
from keel.fitting.data import fit_data
from keel.fitting.descent import ROUGHLY, THOROUGHLY, descend
from keel.fitting.held_out import HeldOut, best_energy_weight
from keel.fitting.objective import Objective
from keel.fitting.parameters import Parametrisation
from keel.fitting.remarks import remarks
from keel.fitting.start import MOST_PAIRS, expected, starts
from keel.fitting.walls import soft_walls, wall_lengths
from keel.potentials.accuracy import Accuracy, accuracy
from keel.potentials.base import Potential
from keel.potentials.classical.dimer import eam_and_cores
from keel.potentials.classical.eam import EAM
from keel.potentials.sum import SumPotential, members_of
from keel.ranges import AtomCount, Cutoff, Seed, checked
from keel.showing import Facts, Shown, number_of

Cores = Literal["contacts", "all", "soft"]
"""Pairs with a nuclear repulsion: with contacts all of them; without contacts all or only the soft ones."""
FIRST_ATOMS, ATOMS, ATOMS_PER_ELEMENT = 1_500, 10_000, 500


@dataclass(frozen=True, eq=False, repr=False)
class EAMFit(Shown):
    """A fitted EAM and its quality.

    Parameters
    ----------
    potential
        The :class:`EAM`, usually with a :class:`ZBL` core under it, and its :class:`ThreeBody` term if one was
        requested; offsets included.
    eam
        The EAM itself.
    errors
        Errors on all frames that were given.
    warnings
        Sentences for the user.
    pairs_without_data
        Names of the pairs whose parameters rest on mixing rules.
    frames_used
        Number of frames in the fit.
    held_out
        The fit by which the weight of the energies was chosen, and the frames that it did not see.
    """

    potential: Potential
    eam: EAM
    errors: Accuracy
    warnings: tuple[str, ...]
    pairs_without_data: tuple[str, ...]
    frames_used: int
    held_out: HeldOut

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        words = {f"warning {k}": text for k, text in enumerate(self.warnings, 1)}
        return {"potential": repr(self.potential), **self.errors.facts(), **words}

    def __repr__(self) -> str:
        """Show the errors, and the number of warnings."""
        errors = "; ".join(" ".join(fact) for fact in self.errors.facts().items())
        return f"EAMFit({self.potential!r}; {errors}; {number_of(len(self.warnings), 'warning')})"


class _Fitted(NamedTuple):
    """A potential, the frames of its fit, and its pairs without data and with walls too soft."""

    potential: Potential
    chosen: Sequence[Frame]
    without_data: Sequence[str]
    soft: Sequence[str]


def fit_eam(
    frames: Structures,
    cutoff: float = 8.0,
    *,
    contacts: bool = True,
    zbl: bool = False,
    three_body: bool = False,
    energy_weight: float | None = None,
    stress_weight: float = 0.3,
    max_atoms: int | None = None,
    seed: int = 0,
) -> EAMFit:
    """Fit an EAM to energies, forces and, where present, stress.

    Minimises  energy_weight^2 <(dE/N)^2> + <(c dF)^2>/<(c F)^2> + stress_weight^2 <dS^2>/<S^2>  with c = 1/max(1, |F|/4
    eV/angstrom), under the constraint that two isolated atoms repel each other from 0.1 angstrom to at least 0.6 times
    the sum of their covalent radii (0.8 for pairs without data).

    Parameters
    ----------
    frames
        Labelled frames, ``ase.Atoms`` or files (:func:`keel.atoms.as_frames`) of any number of elements, each with the
        labels it has. The energy of an isolated atom (:mod:`keel.atoms.isolated`) is the offset of its element; it is
        not used otherwise.
    cutoff
        In angstrom.
    contacts
        Below the closest contact of a pair of elements in the data, keep the force constant and add a nuclear repulsion
        (:mod:`keel.fitting.contacts`), instead of extrapolating the fit. Above it nothing changes.
    zbl
        Without ``contacts``: put a :class:`ZBL` core under every pair, not only under those without data and those
        whose fitted wall is much softer than that of nuclei.
    three_body
        Also fit a term for the angles between bonds (:class:`ThreeBody`), needed for covalent solids.
    energy_weight
        In 1/eV: at 5, an error of 0.2 eV/atom costs as much as forces wrong by their own size. None: 5, or 1 if the
        forces of held-out frames favour it (:mod:`keel.fitting.held_out`).
    stress_weight
        Dimensionless, relative to the forces.
    max_atoms
        The fit sees a random choice of frames with about this many atoms in all (default: 10,000, and 500 for each
        element); errors are reported on all frames.
    seed
        Of that choice.

    Raises
    ------
    DataError
        If there is no frame with forces, or all forces and stresses are zero.
    ConfigError
        If a number is beyond its range, or the cutoff reaches no neighbour or far too many.

    Examples
    --------
    >>> import keel
    >>> fit = keel.fit_eam(keel.datasets.phosphorus()[::40])
    >>> fit.errors.forces.mae < 0.3
    True
    >>> fit.potential.save("phosphorus-eam.json")  # doctest: +SKIP
    """
    cutoff, seed = checked(Cutoff, cutoff, "cutoff"), checked(Seed, seed, "seed")
    max_atoms = checked(AtomCount, max_atoms, "max_atoms")
    given = in_memory(as_frames(frames), "the EAM is fitted to, and judged by,", seed=seed)
    labelled: Sequence[Frame] = [f for f in given if len(f) and not (f.forces is None and f.energy is None)]
    labelled, atoms = set_apart(labelled)
    check_cutoff(labelled, cutoff, advice("the cutoff", "--cutoff"))
    if all(f.forces is None for f in labelled):
        raise DataError("an EAM fit needs frames with forces, but none of the frames has any")
    if not any(np.any(label) for f in labelled for label in (f.forces, f.stress) if label is not None):
        raise DataError("an EAM fit needs nonzero forces or stresses, but those of all frames are exactly zero")
    # On several threads NumPy's linear algebra rounds differently: two machines would fit two teachers.
    with threadpool_limits(1, "blas"):
        cores: Cores = "contacts" if contacts else "all" if zbl else "soft"

        def fit(some: Sequence[Frame], weight: float, *, quick: bool = True) -> _Fitted:
            weights = weight, stress_weight
            return _fit(some, atoms, cutoff, cores, weights, max_atoms, seed, three_body, quick=quick)

        held_out = (
            best_energy_weight(choose(labelled, FIRST_ATOMS, seed), lambda *of: fit(*of).potential)
            if energy_weight is None
            else HeldOut(energy_weight)
        )
        found = fit(labelled, held_out.weight, quick=False)
        return EAMFit(
            potential=found.potential,
            eam=eam_and_cores(found.potential)[0],
            errors=accuracy(found.potential, [*labelled, *atoms]),
            warnings=tuple(remarks(found.potential, [*found.chosen, *atoms], found.without_data, found.soft)),
            pairs_without_data=tuple(found.without_data),
            frames_used=len(found.chosen),
            held_out=held_out,
        )


def _fit(
    frames: Sequence[Frame],
    atoms: Sequence[Frame],
    cutoff: float,
    cores: Cores,
    weights: tuple[float, float],
    max_atoms: int | None,
    seed: int,
    three_body: bool,
    *,
    quick: bool,
) -> _Fitted:
    elements, alone = sorted({int(z) for f in (*frames, *atoms) for z in f.numbers}), energies_alone(atoms)
    chosen = choose(frames, max_atoms or max(ATOMS, ATOMS_PER_ELEMENT * len(elements)), seed)
    model = EAM.from_elements(elements, cutoff)
    contacts = contacts_in(model, frames if cores == "contacts" else chosen)
    angular = unfitted(model, contacts.closest) if three_body else None
    data = fit_data(chosen, model, *weights, alone, angular)
    if not any(len(chunk.pairs.r) for chunk in data.chunks):
        raise DataError(f"no two atoms are closer than the cutoff of {cutoff:g} angstrom; an EAM cannot be fitted")
    without_data = pairs_without_data(model, contacts)
    par = Parametrisation(model, wall_lengths(model, without_data), angular)
    few = (
        data
        if par.n_pairs > MOST_PAIRS or quick
        else fit_data(choose(chosen, FIRST_ATOMS, seed), model, *weights, alone, angular)
    )
    objective = Objective(data, par, expected(par))
    values = par.values(_optimise(Objective(few, par, expected(par)), objective, long=bool(alone)))
    eam = _fitted(model, objective, values, without_data)
    soft: list[str] = []
    if cores == "contacts":
        potential: Potential = with_walls(eam, contacts, data)
    else:
        soft = soft_walls(eam)
        potential = with_core(eam, contacts, eam.pair_names if cores == "all" else sorted({*without_data, *soft}))
    if angular is not None:
        potential = SumPotential([*members_of(potential), fitted(angular, values["angular"])])
    potential.set_offsets(objective.offsets(values) | alone)
    return _Fitted(potential.eval(), chosen, without_data, soft)


def choose(frames: Sequence[Frame], atoms: int, seed: int) -> list[Frame]:
    """Return a random choice of frames with about ``atoms`` atoms in their order; every element is represented."""
    if sum(map(len, frames)) <= atoms:
        return list(frames)
    chosen: set[int] = set()
    unseen = {int(z) for f in frames for z in f.numbers}
    order = np.random.default_rng(seed).permutation(len(frames)).tolist()
    for k in order:
        if unseen & set(frames[k].numbers.tolist()):
            chosen.add(k)
            unseen -= set(frames[k].numbers.tolist())
    total = sum(len(frames[k]) for k in chosen)
    for k in order:
        if k not in chosen and total < atoms:
            chosen.add(k)
            total += len(frames[k])
    return [frames[k] for k in sorted(chosen)]


def _optimise(few: Objective, many: Objective, *, long: bool) -> Tensor:
    """Return the best theta: candidates compete on few frames, the winner is refined on many.

    Where offsets are known beforehand the way to a minimum is longer, and the competition has to be too.
    """
    candidates = starts(few)[: 1 if few.data is many.data else 4]
    if len(candidates) > 1:
        refined = [descend(few, theta, THOROUGHLY if long else ROUGHLY) for theta in candidates]
        candidates = [min(refined, key=lambda result: result[0])[1]]
    return descend(many, candidates[0], THOROUGHLY)[1]


def _fitted(model: EAM, objective: Objective, values: dict[str, Tensor], without_data: Sequence[str]) -> EAM:
    """Return the EAM with the fitted values, in the gauge <rho> = 1."""
    scale = objective.mean_density(values)
    values = values | {"density": values["density"] / scale, "embedding": values["embedding"] * scale**0.5}
    config = model.config()
    config["delta"], config["pairs_without_data"] = model.delta / scale, list(without_data)
    for table, names in (("elements", model.symbols), ("pairs", model.pair_names)):
        for key in set(config[table][names[0]]) & set(values):
            for name, value in zip(names, values[key].tolist(), strict=True):
                config[table][name][key] = value
    return EAM(**config)
