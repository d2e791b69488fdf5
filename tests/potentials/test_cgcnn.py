"""CGCNN: its algebra, its limits, and equality with the reference implementation."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import keel
from keel.atoms.frame import Frame
from keel.errors import ConfigError
from keel.potentials.networks.cgcnn import Convolution
from keel.potentials.networks.radial import GaussianBasis
from keel.potentials.switch import quintic_switch, quintic_switch_derivative


def crystal(seed: int = 0, n: int = 6, a: float = 4.0) -> Frame:
    rng = np.random.default_rng(seed)
    numbers = rng.choice([8, 14], n)
    return Frame(numbers, rng.random((n, 3)) * a, np.eye(3) * a + rng.normal(0, 0.2, (3, 3)), np.ones(3, bool))


def network(seed: int = 0, **changes) -> keel.CGCNN:
    torch.manual_seed(seed)
    arguments = {
        "elements": ["Si", "O"],
        "cutoff": 4.0,
        "features": 12,
        "convolutions": 2,
        "gaussians": 20,
        "hidden": 16,
    }
    return keel.CGCNN(**{**arguments, **changes}).double()


class TestConvolution:
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=10)
    def test_equals_the_product_with_concatenated_vectors(self, seed):
        """The three partial products are the published W [v_i, v_j, e_ij] + b."""
        torch.manual_seed(seed)
        layer = Convolution(5, 7).double()
        v, e = torch.randn(4, 5).double(), torch.randn(9, 7).double()
        i, j = torch.randint(0, 4, (2, 9))
        w = torch.cat([layer.centre.weight, layer.neighbour.weight, layer.edge.weight], dim=1)
        expected = v
        for a, b in ((i, j), (j, i)):
            gate, core = (torch.cat([v[a], v[b], e], dim=1) @ w.T + layer.centre.bias).chunk(2, dim=1)
            expected = expected.index_add(0, a, torch.sigmoid(gate) * nn.functional.softplus(core))
        assert torch.allclose(layer((v,), (e,), i, j)[0], expected, atol=1e-12)


class TestBases:
    def test_gaussians(self):
        basis = GaussianBasis(5.0, 11).double()
        r = torch.linspace(0.1, 5, 40, dtype=torch.float64)
        expected = torch.exp(-0.5 * ((r[:, None] - torch.linspace(0, 5, 11)) / 0.5) ** 2)
        assert torch.allclose(basis(r), expected, atol=1e-12)

    def test_no_denormal_numbers(self):
        values = GaussianBasis(8.0, 50)(torch.linspace(0, 8, 1000))
        tiny = torch.finfo(torch.float32).tiny
        assert not bool(((values != 0) & (values.abs() < tiny)).any())
        assert bool((values == 0).any())

    @given(inner=st.floats(0, 4), width=st.floats(0.1, 4), r=st.floats(0, 10))
    def test_switch_derivative(self, inner, width, r):
        def s(x):
            return float(quintic_switch(torch.tensor(x, dtype=torch.float64), inner, inner + width))

        h = 1e-6
        slope = float(quintic_switch_derivative(torch.tensor(r, dtype=torch.float64), inner, inner + width))
        assert slope == pytest.approx((s(r + h) - s(r - h)) / (2 * h), abs=1e-4 / width**2)
        assert -1e-12 <= s(r) <= 1


class TestCGCNN:
    def test_smooth_at_the_cutoff(self):
        net = network()

        def pair(r):
            graph = keel.batch(Frame(np.array([8, 14]), np.array([[0, 0, 0], [r, 0, 0.0]])), 4.0, dtype=torch.float64)
            return net(graph)

        alone = float(pair(4.5).energy)
        assert float(pair(4.0 - 1e-4).energy) == pytest.approx(alone, abs=1e-9)
        assert float(pair(4.0 - 1e-3).forces.abs().max()) < 1e-4
        assert abs(float(pair(2.0).energy) - alone) > 1e-6

    def test_reference_mode_is_not_smooth(self):
        net = network(mode="reference")
        near, far = (
            float(net(keel.batch(Frame(np.array([8, 14]), np.array([[0, 0, 0], [r, 0, 0.0]])), 4.0)).energy)
            for r in (3.999, 4.001)
        )
        assert abs(near - far) > 1e-5

    def test_scale_multiplies_the_interaction(self):
        net, graph = network(), keel.batch(crystal(), 4.0, dtype=torch.float64)
        before = net(graph)
        net.scale.fill_(3.0)
        assert torch.allclose(net(graph).forces, 3 * before.forces)

    def test_saved_and_loaded(self, tmp_path):
        net, graph = network(mode="reference", switch_from=0.0), keel.batch(crystal(), 4.0, dtype=torch.float64)
        net.set_offsets({8: -1000.0})
        net.save(str(tmp_path / "net.safetensors"))
        again = keel.load(tmp_path / "net.safetensors")
        assert again.config() == net.config()
        assert torch.equal(again(graph).energy, net(graph).energy)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"mode": "rough"}, "mode must be"),
            ({"features": 0}, "at least 1"),
            ({"gaussians": 1}, "at least 2"),
            ({"cutoff": -1.0}, "the cutoff must be positive, not -1"),
            ({"elements": []}, "at least one element"),
            ({"elements": ["Xx"]}, "not a chemical element"),
            ({"switch_from": 1.0}, "fraction of the cutoff"),
        ],
    )
    def test_refusals(self, changes, message):
        with pytest.raises(keel.KeelError, match=message):
            network(**changes)

    def test_unknown_element_in_a_graph(self):
        with pytest.raises(keel.DataError, match="knows O, Si but the structures contain H"):
            network()(keel.batch(Frame(np.array([1]), np.zeros((1, 3))), 4.0))

    def test_config_error_is_a_keel_error(self):
        assert issubclass(ConfigError, keel.KeelError)


def with_weights_of_pyg(net: keel.CGCNN, weights: dict[str, torch.Tensor]) -> keel.CGCNN:
    """Give a network the weights of one made of CGConv; gate and core are stacked here, atoms and edges there."""
    net.embedding.weight.data.copy_(weights["embedding.weight"])
    net.readout.load_state_dict({n.removeprefix("readout."): w for n, w in weights.items() if "readout" in n})
    f, g = net.embedding.embedding_dim, len(net.basis.indices)
    for k, layer in enumerate(net.convolutions):
        gate_and_core = [{n: weights[f"convolutions.{k}.lin_{part}.{n}"] for n in ("weight", "bias")} for part in "fs"]
        stacked = {n: torch.cat([part[n] for part in gate_and_core]) for n in ("weight", "bias")}
        blocks = stacked["weight"].split([f, f, g], dim=1)
        for linear, block in zip((layer.centre, layer.neighbour, layer.edge), blocks, strict=True):
            linear.weight.data.copy_(block)
        layer.centre.bias.data.copy_(stacked["bias"])
    return net


@pytest.mark.parametrize(("dtype", "energies", "forces"), [(torch.float64, 1e-9, 1e-9), (torch.float32, 1e-5, 1e-4)])
def test_as_torch_geometric_predicted(dtype, energies, forces):
    """Stored predictions (see reference/make_cgcnn.py): torch_geometric is not needed."""
    stored = dict(np.load(Path(__file__).parents[1] / "reference" / "cgcnn.npz"))
    weights = {n.removeprefix("weights/"): torch.tensor(a) for n, a in stored.items() if n.startswith("weights/")}
    options = {"features": 10, "convolutions": 3, "gaussians": 12, "hidden": 9}
    net = with_weights_of_pyg(network(mode="reference", **options), weights).to(dtype)
    for k in range(3):
        frame = Frame(*(stored[f"frame{k}/{part}"] for part in ("numbers", "positions", "cell", "pbc")))
        ours = net(keel.batch(frame, 4.0, dtype=dtype))
        expected = stored[f"forces{k}"]
        assert float(ours.energy[0]) == pytest.approx(float(stored[f"energy{k}"]), rel=energies)
        np.testing.assert_allclose(ours.forces.numpy(), expected, rtol=0, atol=forces * np.abs(expected).max())


@pytest.mark.oracle
class TestAgainstPyG:
    """Equal to a CGCNN made of torch_geometric's CGConv when given its weights."""

    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
    def test_energy_and_forces(self, dtype, tolerance):
        if os.environ.get("CI") != "true":
            pytest.importorskip("torch_geometric")
        from torch_geometric.nn import CGConv

        net = network(mode="reference").to(dtype)
        graph = keel.batch([crystal(1), crystal(2)], 4.0, dtype=dtype)
        peers = []
        for layer in net.convolutions:
            peer = CGConv(12, 20, aggr="add").to(dtype)
            w = torch.cat([layer.centre.weight, layer.neighbour.weight, layer.edge.weight], dim=1)
            for part, rows in ((peer.lin_f, slice(0, 12)), (peer.lin_s, slice(12, 24))):
                part.weight.data.copy_(w[rows])
                part.bias.data.copy_(layer.centre.bias[rows])
            peers.append(peer)
        positions = graph.positions.clone().requires_grad_()
        moved = graph.replace(positions=positions)
        r = moved.edge_vectors().norm(dim=1)
        spacing = 4.0 / 19
        e = torch.exp(-0.5 * ((r[:, None] - torch.linspace(0, 4, 20, dtype=dtype)) / spacing) ** 2)
        v = net.embedding(net.species(graph))
        for peer in peers:
            # PyG's edges point from the neighbour to the centre.
            v = peer(v, graph.edge_index.flip(0), e)
        energy = net.readout(v).sum()
        (gradient,) = torch.autograd.grad(energy, positions)
        ours = net(graph)
        assert float(ours.energy.sum()) == pytest.approx(float(energy.detach()), rel=tolerance)
        assert torch.allclose(ours.forces, -gradient, rtol=10 * tolerance, atol=10 * tolerance)
