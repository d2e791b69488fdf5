"""g(r) where it is known: ideal gas, crystal shells, any cell; and the two measures of difference."""

import numpy as np
import pytest
from ase.build import bulk, make_supercell

from keel.atoms.frame import Frame
from keel.errors import DataError
from keel.evaluation import RDF, rdf, rdf_error, rdf_error_percent
from simulated import argon, frame_of, molecule


def random_gas(n: int, cell: np.ndarray, numbers: np.ndarray, seed: int) -> Frame:
    return Frame(numbers, np.random.default_rng(seed).random((n, 3)) @ cell, cell, np.ones(3, dtype=bool))


def test_ideal_gas_is_one_for_every_pair_in_a_skewed_cell():
    cell = np.array([[14.0, 0, 0], [5.0, 12.0, 0], [-4.0, 3.0, 13.0]])
    numbers = np.array([8] * 300 + [14] * 100)
    g = rdf([random_gas(400, cell, numbers, seed) for seed in range(12)], r_max=8.0, n_bins=16)
    assert g.pairs == ["O-O", "O-Si", "Si-Si"] and g.n_frames == 12
    for name, curve in g.g.items():
        # Beyond the first bins, which hold few pairs; 5 % are five standard errors of Si-Si.
        np.testing.assert_allclose(curve[4:], 1.0, atol=0.12 if name == "Si-Si" else 0.05)


def test_crystal_shells_hold_the_right_number_of_neighbours():
    """An fcc crystal has 12, 6, 24, 12 neighbours at a sqrt(1/2), a, a sqrt(3/2), a sqrt(2)."""
    a, width = 4.0, 0.01
    g = rdf([frame_of(bulk("Ar", "fcc", a=a))], r_max=6.0, n_bins=600)
    shells = 4 / 3 * np.pi * ((g.r + width / 2) ** 3 - (g.r - width / 2) ** 3) * 4 / a**3
    neighbours = g.g["Ar-Ar"] * shells
    for distance, count in ((a * 0.5**0.5, 12), (a, 6), (a * 1.5**0.5, 24), (a * 2**0.5, 12)):
        assert neighbours[np.abs(g.r - distance) < 0.02].sum() == pytest.approx(count, rel=1e-6)
    assert neighbours[g.r < a * 1.45].sum() == pytest.approx(54)
    np.testing.assert_array_equal(g.g["Ar-Ar"], g.g["total"])


def test_a_supercell_is_the_same_crystal():
    salt = bulk("NaCl", "rocksalt", a=5.6371)
    salt.rattle(0.1, seed=3)
    large = make_supercell(salt, [[2, 0, 1], [0, 3, 0], [-1, 0, 2]])
    small, repeated = (rdf([frame_of(a)], r_max=9.0, n_bins=88) for a in (salt, large))
    for name in small.g:
        np.testing.assert_allclose(small.g[name], repeated.g[name], atol=1e-9)


def test_frames_are_averaged_and_wrapping_does_not_matter():
    frames = [argon(rattle=0.1, seed=k) for k in range(3)]
    shifted = [f.replace(positions=f.positions + 7 * f.cell[1] - 2 * f.cell[2]) for f in frames]
    mean = np.mean([rdf([f], n_bins=50).g["Ar-Ar"] for f in frames], axis=0)
    np.testing.assert_allclose(rdf(iter(shifted), n_bins=50).g["Ar-Ar"], mean, atol=1e-9)


def test_without_a_density_it_is_refused():
    with pytest.raises(DataError, match="periodic in three directions"):
        rdf([molecule([[0, 0, 0], [3, 0, 0]], [18, 18])])
    with pytest.raises(DataError, match="no frame"):
        rdf([])


def curve(values: list[float]) -> RDF:
    return RDF(np.arange(len(values)) + 0.5, {"A-A": np.array(values, dtype=float)}, 1)


def test_error_in_angstrom_by_hand():
    """Bins of 1 angstrom; 7 bins, of which the last lies beyond 6 angstrom."""
    reference, simulated = curve([0, 0, 3, 1, 1, 1, 1]), curve([0, 1, 1, 1, 1, 1, 9])
    assert rdf_error(reference, simulated)["A-A"] == pytest.approx(3.0)
    assert rdf_error(reference, simulated, r_max=7.0)["A-A"] == pytest.approx(11.0)
    assert rdf_error(reference, reference)["A-A"] == 0.0


def test_error_in_per_cent_by_hand():
    reference = curve([0, 3, 1, 1])
    # Trapezoids: |g - 1| = 1 2 0 0 -> 2.5; |dg| = 0 1 0 0 -> 1.
    assert rdf_error_percent(reference, curve([0, 2, 1, 1]))["A-A"] == pytest.approx(40.0)
    assert rdf_error_percent(reference, curve([1, 1, 1, 1]))["A-A"] == pytest.approx(100.0)
    assert rdf_error_percent(reference, curve([50, 50, 1, 1]))["A-A"] == 100.0
    assert rdf_error_percent(curve([1, 1, 1, 1]), reference)["A-A"] == 100.0


def test_different_grids_are_refused():
    with pytest.raises(DataError, match="same grid"):
        rdf_error(curve([1, 1, 1]), curve([1, 1]))
