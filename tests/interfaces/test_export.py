"""What `keel export --to metatomic` writes, as far as it needs no metatomic: scripts, ranges, what is refused."""

import copy

import numpy as np
import pytest
import torch
from ase.build import bulk
from typer.testing import CliRunner

import keel
from keel.cli import app
from keel.errors import ConfigError, UnavailableError
from keel.interfaces.metatomic import range_of, write_metatomic
from keel.interfaces.torchscript import Core, by_autograd, scripted, trial_arguments
from keel.potentials.external import ASEPotential
from small_potentials import cgcnn
from torch_calculator import TorchMorse

ELEMENTS = ["Cu", "O"]


def small(kind: type, **options) -> keel.Network:
    torch.manual_seed(0)
    return kind(ELEMENTS, preset="small", **options).double()


POTENTIALS = {
    "clamped CGCNN": lambda: keel.ClampedNetwork(small(keel.CGCNN), {"Cu-O": 2.0, "O-O": 2.4}),
    "TorchMDET": lambda: small(keel.TorchMDET),
    "M3GNet on an EAM": lambda: keel.SumPotential([small(keel.M3GNet), keel.EAM.from_elements(ELEMENTS, 4.0)]),
    "EAM": lambda: keel.EAM.from_elements(ELEMENTS, 4.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", POTENTIALS)
def test_a_script_gives_the_numbers_of_the_potential_for_other_sizes(name):
    potential = POTENTIALS[name]()
    potential.set_offsets({29: -1234.5, 8: -400.0})
    script = scripted(potential)
    assert script.devices == ["cpu", "cuda"] and script.slopes is not None
    rng = np.random.default_rng(1)
    for n, length, pbc in ((1, 2.0, True), (2, 9.0, False), (7, 5.0, True), (30, 7.0, True), (1, 9.0, False)):
        atoms = bulk("Cu", cubic=True)[:1] * (n, 1, 1)
        atoms.numbers[::2] = 8
        atoms.set_positions(length * rng.uniform(size=(n, 3)))
        atoms.set_cell(length * np.eye(3) * pbc)
        atoms.pbc = pbc
        graph = keel.batch(atoms, potential.cutoff, half_list=potential.half_list, dtype=torch.float64)
        arguments = graph.numbers, graph.edge_index, graph.edge_shift, graph.edge_vectors()
        weights = torch.from_numpy(rng.uniform(size=n))
        truth = by_autograd(Core(potential), *arguments, weights)
        torch.testing.assert_close(truth[0], potential(graph).atomic_energies, rtol=1e-9, atol=1e-9)
        for found in (by_autograd(script.energies, *arguments, weights), script.slopes(*arguments, weights)):
            for ours, theirs in zip(truth, found, strict=True):
                torch.testing.assert_close(theirs, ours, rtol=1e-9, atol=1e-9)


def test_no_script_is_bound_to_the_device_on_which_it_was_made():
    script = scripted(POTENTIALS["EAM"]())
    assert script.devices == ["cpu", "cuda"] and "cpu" not in str(script.slopes.inlined_graph)


def test_trials_hold_images_crowds_a_molecule_and_an_atom_without_neighbours():
    trials = list(trial_arguments(keel.CGCNN(ELEMENTS)))
    numbers, edges, _, vectors = trials[0]
    assert bool((edges[0] == edges[1]).any()) and float(vectors.norm(dim=1).min()) < 1.0
    assert set(numbers.tolist()) == {8, 29}
    assert trials[-1][1].shape == (2, 0) and len(trials[-1][0]) == 1


class Branching(keel.CGCNN):
    """Its code depends on what is in a tensor."""

    def atomic_energies(self, graph, vectors):
        energies = super().atomic_energies(graph, vectors)
        return energies if graph.n_atoms < 10 else 2 * energies


class OfNumpy(keel.CGCNN):
    """It leaves torch on the way."""

    def atomic_energies(self, graph, vectors):
        return torch.from_numpy(super().atomic_energies(graph, vectors.detach()).detach().numpy()) + vectors.sum() * 0


@pytest.mark.parametrize("kind", [Branching, OfNumpy])
def test_a_script_that_would_give_other_numbers_is_refused(kind):
    with pytest.raises(ConfigError, match=f"a {kind.__name__} cannot be exported"):
        scripted(small(kind))


def test_how_far_atoms_feel_each_other():
    assert range_of(keel.CGCNN(ELEMENTS, convolutions=3, cutoff=4.0)) == 12.0
    assert range_of(keel.M3GNet(ELEMENTS, blocks=2, cutoff=5.0)) == 10.0
    # The embedding of the neighbours is a layer too.
    assert range_of(keel.TorchMDET(ELEMENTS, layers=2, cutoff=5.0)) == 15.0
    assert range_of(keel.TorchMDET(ELEMENTS, layers=2, cutoff=5.0, neighbor_embedding=False)) == 10.0
    eam = keel.EAM.from_elements(ELEMENTS, 6.0)
    assert range_of(keel.ClampedNetwork(keel.CGCNN(ELEMENTS, convolutions=3, cutoff=4.0), {"Cu-O": 1.9})) == 12.0
    assert range_of(eam) == 6.0
    assert range_of(keel.SumPotential([eam, keel.CGCNN(ELEMENTS, convolutions=1, cutoff=4.0)])) == 6.0
    with pytest.raises(ConfigError, match="--range"):
        range_of(ASEPotential(TorchMorse(), elements=["Cu"]))


@pytest.mark.parametrize("kind", [keel.CGCNN, keel.M3GNet, keel.TorchMDET])
def test_the_range_is_one_that_nothing_exceeds(kind):
    """The energy of the first atom of a row does not change with an atom beyond it, and does with the next."""
    network = small(kind, cutoff=3.0)
    positions = 2.4 * np.arange(9)[:, None] * [1.0, 0, 0]
    atoms = bulk("Cu")[:1] * (9, 1, 1)
    atoms.pbc, atoms.cell, atoms.positions = False, None, positions
    before = network(atoms).atomic_energies[0]
    for k in range(1, 9):
        moved = copy.deepcopy(atoms)
        moved.positions[k, 1] += 0.3
        felt = abs(float(network(moved).atomic_energies[0] - before))
        if positions[k, 0] > range_of(network):
            assert felt == 0.0
    assert felt == 0.0


class TestRefusals:
    def test_without_metatomic(self, monkeypatch, tmp_path):
        import sys

        for name in [m for m in sys.modules if m.split(".")[0] == "metatomic"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "metatomic", None)
        with pytest.raises(UnavailableError, match=r"pip install 'mlip-keel\[metatomic\]'"):
            write_metatomic(cgcnn(), tmp_path / "a.pt")
        assert not list(tmp_path.iterdir())

    def test_on_the_command_line(self, tmp_path):
        cgcnn().save(str(tmp_path / "a.safetensors"))

        def told(*arguments):
            done = CliRunner().invoke(app, ["export", *map(str, arguments)])
            assert done.exit_code != 0
            return str(done.exception or "") + done.output

        file = tmp_path / "a.safetensors"
        to = "--to mace or matgl or metatomic or torchmd-net, not for setfl"
        assert f"--precision is for {to}" in told(file, "--out", tmp_path / "a.alloy", "--precision", "float64")
        assert "--range is for --to metatomic" in told(file, "--out", tmp_path / "a.alloy", "--range", "5")
        assert "use --to metatomic" in told("a.model", "--to", "setfl", "--out", tmp_path / "a.alloy")
