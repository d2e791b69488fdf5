"""Where the data of each pair of elements end, and how an EAM describes closer atoms.

A fitted function is extrapolated a little below the closest contact of its data; there the force is kept constant, and
a nuclear repulsion is added. The walls of the fitted functions themselves would be half an angstrom or more too far
out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from keel.atoms.batching import batch
from keel.atoms.frame import Array, Frame
from keel.fitting.chunk import Evaluation, Parameters
from keel.fitting.data import FitData
from keel.parallel import plain
from keel.potentials.base import Potential, lengths
from keel.potentials.classical.contact import CLAMPED_WITHIN
from keel.potentials.classical.contact_repulsion import ContactRepulsion
from keel.potentials.classical.eam import EAM
from keel.potentials.classical.zbl import ZBL
from keel.potentials.sum import SumPotential

CORE_START, CORE_END = 0.4, 0.8
"""Distances at which the nuclear repulsion is complete, and at which it ends unless a contact is closer; in sums of the
covalent radii."""
NEAR, NEAR_BONDS, FEW_PAIRS = 4.0, 1.5, 10
"""A pair of elements has data if it occurs 10 times within 4 angstrom or 1.5 sums of the covalent radii."""
CONTACT_WITHOUT_DATA = 1.0
"""Where the wall of a pair without data begins, in sums of the covalent radii, unless data show a closer contact."""
MOST_WORK = 5.0
"""Largest work in eV of the constant force between contact and core: two oxygens can be as close as in O2."""
LEAST_PUSH, MANY_PAIRS = 3.0, 300
"""Smallest constant force in eV/angstrom of pairs that occur 300 times near, unless :data:`MOST_WORK` allows less. Of
fewer neighbours the closest says too little about where those of other frames end."""
FRAMES = 50
"""Number of frames whose neighbour lists are processed together."""


class Contacts(NamedTuple):
    """The closest contact of each pair of elements in angstrom, infinite if there is none, and how many are near."""

    closest: Array
    near: NDArray[np.int64]


def contacts_in(model: EAM, frames: Sequence[Frame]) -> Contacts:
    """Find the contacts of pairs of elements, in the order of ``model.pair_names``."""
    bonds = plain(model.pair_radius)
    near = np.maximum(NEAR_BONDS * bonds, NEAR)
    closest, counts = np.full(len(bonds), np.inf), np.zeros(len(bonds), np.int64)
    for first in range(0, len(frames), FRAMES):
        graph = batch(frames[first : first + FRAMES], float(near.max()), half_list=True, dtype=torch.float64)
        r, species = plain(lengths(graph.edge_vectors())), model.species(graph)
        i, j = species[graph.edge_index]
        pair = plain(model.pair_index[i * len(model.symbols) + j])
        np.minimum.at(closest, pair, r)
        counts += np.bincount(pair[r < near[pair]], minlength=len(bonds))
    return Contacts(closest, counts)


def pairs_without_data(model: EAM, contacts: Contacts) -> list[str]:
    """Return the names of the pairs that occur too rarely at distances of bonds and walls."""
    return [name for name, n in zip(model.pair_names, contacts.near.tolist(), strict=True) if n < FEW_PAIRS]


def with_walls(eam: EAM, contacts: Contacts, data: FitData) -> SumPotential:
    """Return the EAM, constant below the contacts of its pairs, a push there (:class:`ContactRepulsion`), and nuclei.

    The push is the force between two atoms where the functions become constant, a tenth below the contact, among the
    neighbours that their elements have in the data:

        push = -(phi' + <F'_a> f_b' + <F'_b> f_a'),   0 <= push <= 5 eV / (contact - 0.8 bonds)

    An EAM may hardly repel there, or even attract, and nothing would keep two such atoms apart until their nuclei do.
    So pairs with many data push with at least 3 eV/angstrom, if the upper bound allows that.

    The functions of a pair without data are those of mixing rules, which may be wrong by a hundred eV. They are
    constant from the closest contact in the fit, at whatever distance, and zero if there is none within the cutoff; its
    push begins at the sum of the radii.
    """
    bonds = plain(eam.pair_radius)
    few = contacts.near < FEW_PAIRS
    contact = np.where(few, np.minimum(contacts.closest, CONTACT_WITHOUT_DATA * bonds), contacts.closest)
    force = _forces(eam, data, (1.0 - 0.5 * CLAMPED_WITHIN) * contact)
    least = np.where(contacts.near < MANY_PAIRS, 0.0, LEAST_PUSH)
    push = np.clip(force, least, MOST_WORK / np.maximum(contact - CORE_END * bonds, 1e-6))
    config = eam.config()
    seen = np.minimum(contacts.closest, _closest_of_fit(data, len(bonds)))
    nowhere = eam.cutoff / (1.0 - CLAMPED_WITHIN)
    known = np.where(few, np.minimum(seen, nowhere), contact)
    for name, own in zip(eam.pair_names, known.tolist(), strict=True):
        config["pairs"][name]["contact"] = own
    rows = zip(eam.pair_names, contact.tolist(), push.tolist(), strict=True)
    pushed = ContactRepulsion({name: {"contact": own, "push": p} for name, own, p in rows})
    return SumPotential([EAM(**config), pushed, _nuclei(eam, contact, eam.pair_names)])


def with_core(eam: EAM, contacts: Contacts, covered: Sequence[str]) -> Potential:
    """Return an EAM without contacts, with a core under some pairs, each up to where the data of that pair begin."""
    if not covered:
        return eam
    return SumPotential([eam, _nuclei(eam, contacts.closest, covered)])


def _nuclei(eam: EAM, closest: Array, covered: Sequence[str]) -> ZBL:
    """Return the nuclear repulsion under some pairs, each up to its closest contact (in angstrom) at most."""
    ends = np.minimum(CORE_END, closest / plain(eam.pair_radius))
    known = dict(zip(eam.pair_names, ends.tolist(), strict=True))
    pairs = [(*name.split("-"), known[name]) for name in covered]
    return ZBL(inner=CORE_START, outer=CORE_END, pairs=pairs, elements=eam.elements)


def _forces(eam: EAM, data: FitData, r: Array) -> Array:
    """Return the repulsion in eV/angstrom of two atoms of each pair at distances r (angstrom), among usual neighbours.

    All have shape (pairs,).
    """
    n = len(eam.symbols)
    usual = torch.from_numpy(_embedding_slopes(eam, data))
    first, second = torch.triu_indices(n, n)
    pair = first * n + second
    with torch.no_grad():
        terms = eam.terms(eam.values())
        at = terms.felt(torch.from_numpy(r), pair)
        slope = terms.pair(at, pair)[1]
        slope = slope + usual[first] * terms.density(at, second)[1] + usual[second] * terms.density(at, first)[1]
    return -plain(slope)


def _closest_of_fit(data: FitData, pairs: int) -> Array:
    """Return the closest contact of each pair of elements within the cutoff in angstrom, infinite if there is none."""
    closest = np.full(pairs, np.inf)
    for of_chunk in (chunk.pairs for chunk in data.chunks):
        pair, first = of_chunk.segments[:, 3:5].T
        np.minimum.at(closest, pair, np.minimum.reduceat(of_chunk.r, first) if len(first) else [])
    return closest


def _embedding_slopes(eam: EAM, data: FitData) -> Array:
    """Return the mean of F' over the atoms of each element in the data, in eV, shape (elements,)."""
    parameters = Parameters.of(eam, {name: value.detach() for name, value in eam.values().items()})
    total, count = np.zeros(len(eam.symbols)), np.zeros(len(eam.symbols))
    for chunk in data.chunks:
        slopes = Evaluation(chunk, parameters, eam.delta).slopes()
        total += np.bincount(chunk.species, slopes, minlength=len(total))
        count += np.bincount(chunk.species, minlength=len(total))
    return total / np.maximum(count, 1.0)
