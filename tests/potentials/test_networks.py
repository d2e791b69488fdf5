"""What all networks of the package have in common: presets, options, documentation, training, compiled code."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import keel
from keel.errors import ConfigError
from keel.potentials.networks import layered
from keel.potentials.networks.network import Network
from small_potentials import built_in_networks
from tiny_run import FEW

FRAMES = keel.read(FEW)
NETWORKS = list(built_in_networks().values())
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "networks.md"


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.__name__)
class TestEveryNetwork:
    @pytest.mark.parametrize("preset", ["small", "default", "paper"])
    def test_presets_are_those_of_the_documentation(self, network, preset):
        column = ["small", "default", "paper"].index(preset)
        rows = [line.split("|")[1:-1] for line in DOCUMENTATION.read_text().splitlines() if line.startswith("| ")]
        table = {cells[0].strip(): cells[column + 1].strip() for cells in rows if len(cells) == 4}
        config = network(["Si", "O"], preset=preset).config()
        assert set(network.presets) == {"small", "default", "paper"}
        for option, value in network.presets[preset].items():
            assert table[f"{network.__name__} `{option}`"] == str(value) == str(config[option])

    def test_what_is_given_counts_more_than_the_preset(self, network):
        assert network(["P"], cutoff=4.25, preset="small").config()["cutoff"] == 4.25

    def test_small_is_smaller(self, network):
        sizes = [sum(p.numel() for p in network(["P"], preset=p).parameters()) for p in ("small", "default")]
        assert sizes[0] < sizes[1]

    def test_refusals(self, network):
        with pytest.raises(ConfigError, match="preset must be one of small, default, paper, not 'huge'"):
            network(["P"], preset="huge")
        with pytest.raises(ConfigError, match="mode must be"):
            network(["P"], mode="rough")
        with pytest.raises(ConfigError, match="at least one element"):
            network([])

    def test_one_configuration_one_network(self, network):
        torch.manual_seed(0)
        first = network(["Si", "O"], preset="small", mode="reference")
        torch.manual_seed(0)
        second = type(first)(**first.config())
        assert first.config() == second.config()
        for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
            assert torch.equal(a, b)

    @pytest.mark.parametrize("mode", ["smooth", "reference"])
    def test_layer_by_layer_is_the_same(self, network, mode):
        """Energies, forces, stress, and their derivatives with respect to the parameters."""
        torch.manual_seed(0)
        net = network(["P"], cutoff=4.0, preset="small", mode=mode).double()
        net.scale.fill_(2.0)
        graph = keel.batch(FRAMES[:2], 4.0, dtype=torch.float64)
        results = []
        for net.layer_by_layer in (False, True):
            p = net(graph, differentiable=True)
            value = p.energy.sum() + p.forces.square().sum() + p.stress.square().sum()
            slopes = torch.autograd.grad(value, list(net.parameters()), allow_unused=True, materialize_grads=True)
            results.append([p.energy, p.forces, p.stress, *slopes])
            torch.testing.assert_close(net(graph).forces, p.forces)
        torch.testing.assert_close(*results)

    @pytest.mark.parametrize("tile_edges", [1, 50, 400])
    def test_tiles_are_the_same(self, network, tile_edges):
        """However many; also where atoms have no edges, and a tile's neighbours are all of the structure."""
        torch.manual_seed(0)
        net = network(["P"], cutoff=4.0, preset="small").double()
        net.tile_edges = tile_edges
        alone = keel.Frame([15], [[0.0, 0.0, 0.0]])
        frames = [alone, *FRAMES[:2], alone]
        graph = keel.batch(frames, 4.0, dtype=torch.float64)
        results = []
        for net.layer_by_layer in (False, True):
            p = net(graph, differentiable=True)
            value = p.energy.sum() + p.forces.square().sum()
            slopes = torch.autograd.grad(value, list(net.parameters()), allow_unused=True, materialize_grads=True)
            results.append([p.atomic_energies, p.forces, *slopes])
        torch.testing.assert_close(*results)
        prepared = net.prepare(graph)
        tiles = net._tiles(net.edges(prepared, prepared.edge_vectors()))
        assert (len(tiles) > 1) == (not net.half_list and tile_edges < prepared.n_edges)
        assert [t.first for t in tiles[1:]] == [t.last for t in tiles[:-1]]
        assert sum(t.own for t in tiles) == prepared.n_atoms

    def test_large_cells_are_evaluated_layer_by_layer(self, network, monkeypatch):
        seen, evaluate = [], layered.energies_and_gradient

        def watched(*arguments, **options):
            seen.append(options)
            return evaluate(*arguments, **options)

        monkeypatch.setattr(layered, "energies_and_gradient", watched)
        net, frames = network(["P"], cutoff=3.0, preset="small"), FRAMES
        small, large = (keel.batch(frames[:n], 3.0) for n in (1, 8))
        monkeypatch.setattr(network, "many_edges", net.prepare(small).n_edges)
        net(small)
        assert not seen
        net(large)
        assert seen == [{"compile": False}]

    def test_learns(self, network):
        torch.manual_seed(0)
        frames = keel.datasets.phosphorus()[:4]
        settings = keel.TrainingSettings(steps=120, batch_size=2, learning_rate=3e-3, warmup_steps=2)
        result = keel.train(network(["P"], cutoff=4.0, preset="small"), frames, settings=settings)
        losses = [row["total"] for row in result.history]
        assert sum(losses[-10:]) < 0.7 * sum(losses[:10])

    def test_is_of_the_family(self, network):
        assert issubclass(network, Network)
        assert network.compilable


def test_an_option_that_there_is_not_is_named():
    for network in NETWORKS:
        with pytest.raises(ConfigError, match=rf"{network.__name__}: there is no option 'colour'; choose from cutoff"):
            network(["P"], colour=3)


RELEASED = DOCUMENTATION.parents[1] / "tests" / "files" / "v1" / "potentials"


@pytest.mark.parametrize("path", sorted(RELEASED.glob("*.safetensors")), ids=lambda path: path.stem)
def test_configurations_keep_their_order(path):
    """Checkpoints of trainings are found by a hash of the configuration as it is written."""
    with safe_open(path, "pt") as file:
        stored = json.loads(file.metadata()["keel"])["config"]
    assert json.dumps(keel.load(path).config()) == json.dumps(stored)
