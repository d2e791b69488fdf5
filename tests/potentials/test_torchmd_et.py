"""The equivariant transformer: its algebra, its limits, and equality with torchmd-net."""

import importlib.util
import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import keel
from keel.atoms.frame import Frame
from keel.potentials.compiling.compiled import compiled, obstacle
from keel.potentials.external.torchmdnet_checkpoint import converted
from keel.potentials.networks import layered
from keel.potentials.networks.network import FEWEST_EDGES, scaled_energies_and_gradient
from keel.potentials.networks.radial import ExponentialNormalBasis, FreeGaussianBasis, cosine_cutoff
from keel.potentials.networks.torchmd_et_blocks import ACTIVATIONS
from torchmd_et_reference import CASES, frame, stored

CUTOFF = 3.5


def crystal(seed: int = 0, n: int = 9, a: float = 4.0) -> Frame:
    rng = np.random.default_rng(seed)
    numbers = rng.choice([8, 14], n)
    return Frame(numbers, rng.random((n, 3)) * a, np.eye(3) * a + rng.normal(0, 0.2, (3, 3)), np.ones(3, bool))


def network(seed: int = 0, dtype: torch.dtype = torch.float64, **changes) -> keel.TorchMDET:
    torch.manual_seed(seed)
    arguments = {"elements": ["Si", "O"], "cutoff": CUTOFF, "channels": 8, "layers": 2, "heads": 2, "num_rbf": 6}
    net = keel.TorchMDET(**{**arguments, **changes})
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.3)
    return net.to(dtype)


def molecule(*positions: tuple[float, float, float]) -> keel.AtomGraph:
    numbers = np.resize([8, 14], len(positions))
    return keel.batch(Frame(numbers, np.array(positions, dtype=float)), CUTOFF, dtype=torch.float64)


def graph(seed: int = 0) -> keel.AtomGraph:
    return keel.batch(crystal(seed), CUTOFF, dtype=torch.float64)


def weight_gradients(potential: keel.TorchMDET, g: keel.AtomGraph) -> list[torch.Tensor]:
    p = potential(g, differentiable=True)
    value = p.energy.sum() + p.forces.square().sum() + p.stress.nan_to_num().square().sum()
    return list(torch.autograd.grad(value, list(potential.parameters()), allow_unused=True, materialize_grads=True))


class TestRadial:
    def test_exponential_normal_functions(self):
        basis = ExponentialNormalBasis(5.0, 11, lower=0.5).double()
        r = torch.linspace(0.1, 5, 40, dtype=torch.float64)
        start = float(np.exp(-4.5))
        centres, beta = np.linspace(start, 1, 11), (2 / 11 * (1 - start)) ** -2
        t = np.exp(-5 / 4.5 * (r.numpy()[:, None] - 0.5))
        expected = 0.5 * (np.cos(np.pi * r.numpy() / 5)[:, None] + 1) * np.exp(-beta * (t - centres) ** 2)
        assert np.allclose(basis(r).numpy(), expected, atol=1e-6)

    @pytest.mark.parametrize("kind", [ExponentialNormalBasis, FreeGaussianBasis])
    def test_constants_are_parameters_only_if_they_are_trained(self, kind):
        assert not list(kind(5.0, 6).parameters())
        assert len(list(kind(5.0, 6, trainable=True).parameters())) == 2
        assert kind(5.0, 6).state_dict().keys() == kind(5.0, 6, trainable=True).state_dict().keys()

    @pytest.mark.parametrize("kind", [ExponentialNormalBasis, FreeGaussianBasis])
    def test_no_denormal_numbers(self, kind):
        values = kind(8.0, 50)(torch.linspace(0, 7.9, 1000))
        assert not bool(((values != 0) & (values.abs() < torch.finfo(torch.float32).tiny)).any())
        assert bool((values == 0).any())

    @given(r=st.floats(0, 6), lower=st.sampled_from([0.0, 1.0]))
    def test_cosine_cutoff(self, r, lower):
        def cosine(x):
            t = 2 * (x - lower) / (5 - lower) + 1 if lower else x / 5
            return 0.5 * (np.cos(np.pi * t) + 1) if lower <= x <= 5 else 0.0

        assert float(cosine_cutoff(torch.tensor(r, dtype=torch.float64), 5.0, lower)) == pytest.approx(cosine(r))


@pytest.mark.xdist_group("compiling")
class TestAlgebra:
    @given(seed=st.integers(0, 1000), heads=st.sampled_from([1, 2, 4, 8]))
    @settings(max_examples=10)
    def test_heads_as_matrix_products(self, seed, heads):
        layer = network(heads=heads).layers[1]
        q, k = torch.randn(2, 7, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        i, j = torch.tensor([0, 0, 3, 6]), torch.tensor([1, 0, 5, 2])

        def attention(q, k):
            return nn.functional.silu((q * k).reshape(len(q), heads, -1).sum(dim=2)).repeat_interleave(
                8 // heads, dim=1
            )

        expected = attention(q[i], k[j]), attention(q[j], k[i]), attention(q, k)
        for found, published in zip(layer.attention(q, k, None, torch.ones(5, 1), i, j), expected, strict=True):
            assert torch.allclose(found, published)

    @pytest.mark.parametrize("mode", ["smooth", "reference"])
    def test_images_of_an_atom_are_neighbours_and_the_atom_itself_is_none(self, mode):
        """A tiny cell, whose edges join an atom to its images, equals a supercell, whose edges join different atoms."""
        net = network(mode=mode)
        small = Frame(
            np.array([8, 14]), np.array([[0.1, 0, 0], [0.9, 1.2, 0.7]]), np.diag([1.9, 2.3, 2.0]), np.ones(3, bool)
        )
        large = Frame.replace(
            small,
            numbers=np.tile(small.numbers, 64),
            positions=np.concatenate([small.positions + np.array(s) @ small.cell for s in np.ndindex(4, 4, 4)]),
            cell=4 * small.cell,
        )
        one, many = (net(keel.batch(f, CUTOFF, dtype=torch.float64)) for f in (small, large))
        i, j = keel.batch(small, CUTOFF).edge_index
        assert bool((i == j).any())
        assert not bool(torch.eq(*keel.batch(large, CUTOFF).edge_index).any())
        assert torch.allclose(many.atomic_energies, one.atomic_energies.repeat(64), atol=1e-10)
        assert torch.allclose(many.forces, one.forces.repeat(64, 1), atol=1e-10)

    @pytest.mark.parametrize("output_model", ["EquivariantScalar", "Scalar"])
    def test_layer_by_layer_is_automatic_differentiation(self, monkeypatch, output_model):
        monkeypatch.setattr(layered, "compiled", lambda function, *arguments: function(*arguments))
        net = network(output_model=output_model, trainable_rbf=True)
        net.scale.fill_(2.0)
        assert graph().to_half_list().n_edges >= FEWEST_EDGES
        eager, slopes = net(graph(), differentiable=True), weight_gradients(net, graph())
        net.compiled = True
        swept, swept_slopes = net(graph(), differentiable=True), weight_gradients(net, graph())
        for name in ("energy", "forces", "stress"):
            torch.testing.assert_close(getattr(swept, name), getattr(eager, name))
        for a, b in zip(slopes, swept_slopes, strict=True):
            torch.testing.assert_close(b, a)

    def test_goes_on_where_nothing_compiles(self, monkeypatch):
        net = network()
        expected = net(graph(), differentiable=True).forces
        monkeypatch.setattr(layered, "compiled", lambda function, *arguments: None)
        net.compiled = True
        assert torch.equal(net(graph(), differentiable=True).forces, expected)
        assert not net.compiled

    @pytest.mark.slow
    @pytest.mark.skipif(obstacle(torch.device("cpu")) is not None, reason="there is no C++ compiler")
    def test_a_compiled_layer_and_its_second_derivatives(self):
        """Compiling takes the time of this test; what was compiled once is found again for another batch."""
        net, results = network(), []
        layer = net.layers[2]
        for n in (1, 2):
            g = keel.batch([crystal(seed) for seed in range(n)], CUTOFF, dtype=torch.float64).to_half_list()
            geometry, (i, j) = net.geometry(g.edge_vectors()), g.edge_index
            numbers = torch.Generator().manual_seed(n)
            x, v, dx, dv = (
                torch.randn(*shape, g.n_atoms, 8, generator=numbers, dtype=torch.float64, requires_grad=True)
                for shape in ((), (3,), (), (3,))
            )
            for run in (lambda f, *a: f(*a), compiled):
                (gx, gv), dg = run(layered.pullback, layer, ((x, v), geometry), (i, j), (dx, dv))
                value = sum(term.sin().sum() for term in (gx, gv, dg.basis, dg.cutoff, dg.direction))
                results.append([value, *torch.autograd.grad(value, [x, v, dx, dv, *layer.parameters()])])
            for eager, fast in zip(*results[-2:], strict=True):
                torch.testing.assert_close(fast, eager)

    def test_can_be_traced_whole(self):
        """One graph without breaks for all batch sizes, as compilers need it."""
        net = network(layers=1)
        traced = torch.compile(scaled_energies_and_gradient, dynamic=True, fullgraph=True, backend="eager")
        for n in (1, 2):
            g = keel.batch([crystal(seed) for seed in range(n)], CUTOFF, dtype=torch.float64).to_half_list()
            vectors = g.edge_vectors()
            results = [f(net, net.edges(g, vectors), vectors) for f in (traced, scaled_energies_and_gradient)]
            torch.testing.assert_close(*results)


class TestLimits:
    def test_smooth_at_the_cutoff(self):
        net = network()

        def pair(r):
            return net(molecule((0, 0, 0), (0, r, 0), (0.4, 0, 1.2)))

        alone = float(pair(CUTOFF + 3).energy)
        assert float(pair(CUTOFF + 1e-5).energy) == pytest.approx(alone, abs=1e-9)
        assert float(pair(CUTOFF - 1e-5).energy) == pytest.approx(alone, abs=1e-8)
        assert abs(float(pair(2.0).energy) - alone) > 1e-4

    def test_reference_mode_is_not_smooth(self):
        net = network(mode="reference")
        near, far = (float(net(molecule((0, 0, 0), (r, 0, 0))).energy) for r in (CUTOFF - 1e-6, CUTOFF + 1e-6))
        assert abs(near - far) > 1e-5

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("mode", ["smooth", "reference"])
    @pytest.mark.parametrize(
        "positions",
        [
            [(0, 0, 0)],
            [(0, 0, 0), (9, 0, 0)],
            [(0, 0, 0), (0, 0, 0)],
            [(0, 0, 0), (0, 0, 0), (1, 0, 0)],
            [(0, 0, 0), (1e-20, 0, 0), (1, 0, 0)],
            [(0, 0, 0), (1e-6, 0, 0), (1, 0, 0)],
            [(-1, 0, 0), (0, 0, 0), (1, 0, 0)],
        ],
        ids=["one atom", "no edge", "on each other", "two of three", "nearly", "close", "symmetric"],
    )
    def test_finite(self, positions, mode, dtype):
        net, g = network(mode=mode, dtype=dtype), molecule(*positions).to(dtype=dtype)
        prediction = net(g)
        assert bool(prediction.energy.isfinite().all())
        assert bool(prediction.forces.isfinite().all())
        assert all(bool(slope.isfinite().all()) for slope in weight_gradients(net, g))

    def test_energy_is_smooth_where_two_atoms_meet(self):
        """Forces on atoms that pass through each other are continuous."""
        net = network()
        before, after = (net(molecule((0, 0, 0), (x, 0, 0), (0, 1, 0.4))).forces for x in (-1e-7, 1e-7))
        assert torch.allclose(before, after, atol=1e-3 * float(before.abs().max()))


class TestOptions:
    @pytest.mark.parametrize(
        "changes",
        [
            {"rbf_type": "gauss"},
            {"activation": "tanh"},
            {"attn_activation": "sigmoid"},
            {"neighbor_embedding": False},
            {"distance_influence": "keys"},
            {"distance_influence": "values"},
            {"distance_influence": "none"},
            {"cutoff_lower": 1.5},
            {"heads": 4},
            {"output_model": "Scalar"},
            {"mode": "reference"},
            {"mode": "reference", "vector_cutoff": True},
        ],
        ids=str,
    )
    def test_each_acts_and_survives_a_file(self, changes, tmp_path):
        net = network(**changes)
        assert not torch.allclose(net(graph()).energy, network()(graph()).energy, rtol=1e-6)
        net.save(str(tmp_path / "net.safetensors"))
        again = keel.load(tmp_path / "net.safetensors")
        assert again.config() == net.config()
        assert torch.equal(again(graph()).forces, net(graph()).forces)

    @pytest.mark.parametrize("name", ACTIVATIONS)
    def test_activations(self, name):
        expected = {
            "ssp": lambda x: np.log1p(np.exp(x)) - np.log(2),
            "tanh": np.tanh,
            "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
            "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
        }.get(name, lambda x: x / (1 + np.exp(-x)))
        x = torch.linspace(-3, 3, 13, dtype=torch.float64)
        assert np.allclose(ACTIVATIONS[name](x).numpy(), expected(x.numpy()), atol=1e-7)

    @pytest.mark.parametrize("preset", keel.TorchMDET.presets)
    def test_presets_are_complete(self, preset):
        net = keel.TorchMDET(["P"], preset=preset)
        assert keel.TorchMDET(**net.config()).config() == net.config()
        assert net.config().items() >= keel.TorchMDET.presets[preset].items()
        assert keel.TorchMDET(["P"], preset=preset, layers=1).config()["layers"] == 1

    def test_trained_radial_functions(self):
        net = network(trainable_rbf=True)
        slopes = dict(zip([n for n, _ in net.named_parameters()], weight_gradients(net, graph()), strict=True))
        assert float(slopes["geometry.basis.means"].abs().max()) > 0
        assert "geometry.basis.means" not in dict(network().named_parameters())

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"mode": "rough"}, "mode must be"),
            ({"preset": "huge"}, "preset must be one of"),
            ({"layers": 0}, "layers must be at least 1"),
            ({"num_rbf": 1}, "num_rbf must be at least 2"),
            ({"heads": 3}, "must divide channels"),
            ({"rbf_type": "bessel"}, "rbf_type must be one of"),
            ({"activation": "relu"}, "activation must be one of"),
            ({"distance_influence": "all"}, "distance_influence must be one of"),
            ({"output_model": "Dipole"}, "output_model must be one of"),
            ({"cutoff_lower": 4.0}, "cutoff_lower must lie between"),
            ({"vector_cutoff": False}, "mode='reference'"),
        ],
    )
    def test_refusals(self, changes, message):
        with pytest.raises(keel.ConfigError, match=message):
            network(**changes)


class TestAgainstStoredNumbers:
    """Equal to torchmd-net 3.1.0, whose numbers are stored (reference/make_torchmd_et.py)."""

    @pytest.mark.parametrize(
        ("dtype", "energy", "force"), [(torch.float64, 1e-9, 1e-9), (torch.float32, 1e-5, 1e-4)], ids=str
    )
    @pytest.mark.parametrize("case", CASES)
    def test_energy_and_forces(self, case, dtype, energy, force):
        reference = stored(case)
        net = converted(reference.arguments, reference.weights).to(dtype)
        for structure, e, f in zip(reference.frames, reference.energies, reference.forces, strict=True):
            ours = net(keel.batch(structure, net.cutoff, dtype=dtype))
            assert float(ours.energy[0]) == pytest.approx(e, rel=energy)
            assert torch.allclose(ours.forces.double(), f, rtol=0, atol=force * max(1.0, float(f.abs().max())))


@cache
def generator():
    """The script that writes the stored numbers; it needs torchmd-net."""
    if os.environ.get("CI") != "true":
        pytest.importorskip("torchmdnet")
    path = Path(__file__).parents[1] / "reference" / "make_torchmd_et.py"
    specification = importlib.util.spec_from_file_location("make_torchmd_et", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.oracle
class TestAgainstTorchMDNet:
    """Equal to torchmd-net when given its weights, in cells that are large enough for its neighbour search."""

    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)], ids=str)
    @pytest.mark.parametrize(
        "changes",
        [
            *({"distance_influence": x} for x in ("both", "keys", "values", "none")),
            *({"activation": x} for x in ACTIVATIONS),
            *({"attn_activation": x} for x in ACTIVATIONS),
            *({"vector_cutoff": x, "cutoff_lower": y} for x in (True, False) for y in (0.0, 1.4)),
            *({"rbf_type": x, "trainable_rbf": y} for x in ("expnorm", "gauss") for y in (True, False)),
            {"neighbor_embedding": False},
            {"num_layers": 1},
            {"num_layers": 4, "embedding_dimension": 32, "num_heads": 4},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("case", ["published", "scalar"])
    def test_energy_and_forces(self, case, changes, dtype, tolerance):
        script = generator()
        arguments, peer = script.peer(case, dtype, seed=3, **changes)
        net = converted(arguments, peer.state_dict())
        assert net.dtype == dtype
        for structure in script.structures():
            energy, forces = script.predict(peer, structure)
            ours = net(keel.batch(frame(structure), net.cutoff, dtype=dtype))
            assert float(ours.energy[0]) == pytest.approx(energy, rel=min(tolerance, 1e-5))
            largest = max(1.0, float(np.abs(forces).max()))
            assert np.abs(ours.forces.numpy() - forces).max() <= tolerance * largest
