"""M3GNet: its bases, the three-body term without triples, its limits, equality with the reference implementation."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import legendre
from scipy.special import spherical_jn
from torch import nn
from typer.testing import CliRunner

import keel
from keel.atoms.frame import Frame
from keel.cli import app
from keel.potentials.external.matgl_checkpoint import convert, from_matgl
from keel.potentials.networks.bessel import smooth_bessel_basis, spherical_bessel_basis, spherical_bessel_roots
from keel.potentials.networks.harmonics import AngularBasis, racah_harmonics
from keel.potentials.networks.m3gnet_blocks import Geometry, ThreeBody, Triples

REFERENCE = Path(__file__).parents[1] / "reference" / "m3gnet.npz"
MODELS = ["bessel", "smooth"]


def crystal(seed: int = 0, n: int = 6, a: float = 4.0) -> Frame:
    rng = np.random.default_rng(seed)
    cell = np.eye(3) * a + rng.normal(0, 0.2, (3, 3))
    return Frame(rng.choice([8, 14], n), rng.random((n, 3)) * a, cell, np.ones(3, bool))


def molecule(*positions: tuple[float, float, float]) -> Frame:
    return Frame(np.resize([8, 14], len(positions)), np.array(positions))


def network(seed: int = 0, **changes) -> keel.M3GNet:
    torch.manual_seed(seed)
    sizes = {"node_features": 8, "edge_features": 6, "units": 10, "blocks": 2}
    return keel.M3GNet(**{"elements": ["Si", "O"], **sizes, **changes}).double()


class TestRadialBases:
    def test_are_the_spherical_bessel_functions(self):
        r = np.linspace(0.0, 4.5, 60)
        values = spherical_bessel_basis(4.5, max_n=4, max_l=5).double()(torch.from_numpy(r))
        for order in range(5):
            for n, root in enumerate(spherical_bessel_roots(4, 5)[order]):
                expected = (
                    spherical_jn(order, root * r / 4.5) / abs(spherical_jn(order + 1, root)) * (2 / 4.5**3) ** 0.5
                )
                assert np.allclose(values[:, 4 * order + n], expected, atol=2e-14)

    @pytest.mark.parametrize("make", [lambda: spherical_bessel_basis(5.0, 5, 1), lambda: smooth_bessel_basis(5.0, 5)])
    def test_are_orthonormal(self, make):
        x, w = legendre.leggauss(60)
        r = torch.from_numpy(2.5 * (x + 1))
        values = make().double()(r)
        overlap = values.T @ (values * (torch.from_numpy(2.5 * w) * r * r)[:, None])
        assert torch.allclose(overlap, torch.eye(5, dtype=torch.float64), atol=1e-12)

    def test_smooth_ones_vanish_with_slope_and_curvature(self):
        near = 5.0 - torch.tensor([1e-2, 1e-3], dtype=torch.float64)
        far, close = smooth_bessel_basis(5.0, 4).double()(near).abs()
        assert bool((close < 2e-3 * far).all())

    @pytest.mark.parametrize("basis", [spherical_bessel_basis(5.0, 3, 4), smooth_bessel_basis(5.0, 6)])
    def test_float32_is_accurate_down_to_zero(self, basis):
        r = torch.logspace(-4, float(np.log10(5.0)), 300, dtype=torch.float64)
        exact, single = basis.double()(r), basis.float()(r.float())
        assert float((single - exact).abs().max()) < 2e-6 * float(exact.abs().max())

    def test_digits_survive_a_visit_to_float32(self):
        r = torch.linspace(0.1, 5, 20, dtype=torch.float64)
        basis = spherical_bessel_basis(5.0, 3, 3).double()
        before = basis(r)
        assert torch.equal(basis.float().double()(r), before)

    def test_two_derivatives(self):
        basis = spherical_bessel_basis(5.0, 3, 3).double()
        r = torch.linspace(0.05, 4.9, 9, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(basis, (r,))
        assert torch.autograd.gradgradcheck(basis, (r,))


class TestAngularBasis:
    @given(seed=st.integers(0, 1000), max_l=st.integers(1, 6))
    @settings(max_examples=20)
    def test_addition_theorem(self, seed, max_l):
        u, w = np.random.default_rng(seed).standard_normal((2, 3))
        u, w = u / np.linalg.norm(u), w / np.linalg.norm(w)
        for order, harmonics in enumerate(racah_harmonics(max_l)):
            at_u, at_w = harmonics, harmonics
            for _ in range(order):
                at_u, at_w = at_u @ u, at_w @ w
            assert at_u @ at_w == pytest.approx(legendre.legval(u @ w, np.eye(max_l)[order]), abs=1e-12)

    def test_columns(self):
        """Summed over m, the products are R_ln and sqrt((2l+1)/4 pi) R_ln P_l(1)."""
        basis = AngularBasis(2, 3).double()
        unit = nn.functional.normalize(torch.randn(7, 3, dtype=torch.float64), dim=1)
        radial = torch.rand(7, 6, dtype=torch.float64)
        harmonics, products = basis(unit, radial)
        norm = torch.tensor([1, 1, 3, 3, 5, 5], dtype=torch.float64).div(4 * np.pi).sqrt()
        assert torch.allclose((harmonics * products) @ basis.sum_over_m, radial * norm, atol=1e-12)


class TestThreeBody:
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=10)
    def test_equals_the_sum_over_triples(self, seed):
        """Moments less the edge's own term are sum_{k != j} R_ln(r_ik) Y_l0(theta) sigmoid(W v_k + b) f_ij f_ik."""
        torch.manual_seed(seed)
        max_n, max_l, edges = 2, 3, 11
        layer, basis = ThreeBody(4, 5, max_n * max_l).double(), AngularBasis(max_n, max_l).double()
        v, e = torch.randn(3, 4).double(), torch.randn(20, 5).double()
        i, j = torch.randint(0, 3, (2, edges))
        near = torch.randperm(20)[:edges].sort().values
        unit = nn.functional.normalize(torch.randn(edges, 3).double(), dim=1)
        radial, envelope = torch.randn(edges, max_n * max_l).double(), torch.rand(edges).double()
        harmonics, sources = basis(unit, radial * envelope[:, None])
        geometry = Geometry(e, e, sources, harmonics * envelope[:, None])
        found = layer(v, e, geometry, Triples(near, i, j, basis.sum_over_m))
        weights = torch.sigmoid(layer.neighbour(v))
        expected = e.clone()
        for a in range(edges):
            t = torch.zeros(max_n * max_l).double()
            for b in range(edges):
                if a != b and i[a] == i[b]:
                    p = legendre.legvander(float(unit[a] @ unit[b]), max_l - 1).ravel()
                    y = torch.from_numpy(p * np.sqrt((2 * np.arange(max_l) + 1) / 4 / np.pi)).repeat_interleave(max_n)
                    t += radial[b] * y * weights[j[b]] * envelope[a] * envelope[b]
            expected[near[a]] += layer.update(t)
        assert torch.allclose(found, expected, atol=1e-12)

    def test_one_neighbour_has_no_angle(self):
        net = network(blocks=1)
        alike = network(blocks=1, max_l=1)
        missing, _ = alike.load_state_dict(
            {k: v for k, v in net.state_dict().items() if alike.state_dict()[k].shape == v.shape}, strict=False
        )
        assert all("three_body" in k or "edge_weight" in k or "node_weight" in k or "edge_emb" in k for k in missing)
        graph = keel.batch(molecule((0, 0, 0), (0, 0, 1.7)), 5.0, dtype=torch.float64)
        before = net(graph)
        with torch.no_grad():
            for block in net.blocks:
                block.three_body.update.first.weight.mul_(5.0)
        assert torch.equal(net(graph).energy, before.energy)

    def test_sees_angles(self):
        bent, straight = molecule((1.6, 0, 0), (0, 0, 0), (0, 1.6, 0)), molecule((1.6, 0, 0), (0, 0, 0), (-1.6, 0, 0))
        # Without edges between the outer atoms only the angle differs.
        net = network(cutoff=2.2)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(3.0)
        energies = net(keel.batch([bent, straight], 2.2, dtype=torch.float64)).energy
        assert abs(float(energies[0] - energies[1])) > 1e-6


class TestM3GNet:
    @pytest.mark.parametrize("smooth_basis", [False, True])
    def test_smooth_at_both_cutoffs(self, smooth_basis):
        net = network(smooth_basis=smooth_basis)

        def forces(r):
            graph = keel.batch(molecule((0, 0, 0), (1.5, 0, 0), (0, r, 0)), 5.0, dtype=torch.float64)
            p = net(graph)
            return float(p.energy), p.forces

        for cutoff in (4.0, 5.0):
            (near, near_forces), (far, far_forces) = forces(cutoff - 1e-4), forces(cutoff + 1e-4)
            slope = 2e-4 * float(near_forces.abs().max())
            assert abs(near - far) <= slope + 1e-12
            assert float((near_forces - far_forces).abs().max()) < 1e-4 * float(near_forces.abs().max())

    def test_near_edges(self):
        net = network(three_body_cutoff=3.0)
        vectors = torch.tensor([[0, 0, 3.1], [2.9, 0, 0], [0, 4.0, 0], [1.0, 1.0, 1.0]], dtype=torch.float64)
        assert net.near(vectors).tolist() == [1, 3]

    def test_three_body_cutoff_follows_a_small_cutoff(self):
        assert network(cutoff=3.0).three_body_cutoff == 3.0
        assert network(cutoff=6.0).three_body_cutoff == 4.0

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"three_body_cutoff": 5.5}, "at most the cutoff, 5 angstrom"),
            ({"three_body_cutoff": 0.0}, "positive length"),
            ({"max_l": 0}, "at least 1"),
            ({"blocks": 0}, "at least 1"),
            ({"activation": "relu"}, "activation must be one of swish"),
            ({"switch_from": -0.1}, "switch_from must not be negative, but is -0.1"),
        ],
    )
    def test_refusals(self, changes, message):
        with pytest.raises(keel.ConfigError, match=message):
            network(**changes)


def stored(model: str) -> tuple[dict, dict[str, torch.Tensor], list[tuple[Frame, float, np.ndarray, np.ndarray]]]:
    """Return description, weights and predictions of a model of matgl 4.1.2."""
    arrays = np.load(REFERENCE)
    prefix = f"{model}/state/"
    state = {k.removeprefix(prefix): torch.from_numpy(arrays[k]) for k in arrays if k.startswith(prefix)}
    predictions = []
    for k in range(4):
        frame = Frame(*(arrays[f"frame{k}/{name}"] for name in ("numbers", "positions", "cell", "pbc")))
        labels = (arrays[f"{model}/{name}{k}"] for name in ("energy", "forces", "stress"))
        predictions.append((frame, *labels))
    return json.loads(str(arrays[f"{model}/description"])), state, predictions


@pytest.mark.parametrize("model", MODELS)
class TestAgainstStoredReference:
    @pytest.mark.parametrize(("dtype", "of_energy", "of_force"), [("float64", 1e-10, 1e-9), ("float32", 1e-5, 1e-4)])
    def test_energy_forces_stress(self, model, dtype, of_energy, of_force):
        description, state, predictions = stored(model)
        net = convert(description, state).to(getattr(torch, dtype))
        for frame, energy, forces, stress in predictions:
            found = net(keel.batch(frame, 5.0, dtype=net.dtype))
            assert float(found.energy[0]) == pytest.approx(float(energy), rel=of_energy)
            assert np.abs(found.forces.numpy() - forces).max() <= of_force
            if frame.pbc.all():
                assert np.abs(found.stress[0].numpy() - stress).max() <= of_force

    def test_angles_matter_in_it(self, model):
        description, state, predictions = stored(model)
        net = convert(description, state)
        with torch.no_grad():
            for block in net.blocks:
                block.three_body.update.first.weight.zero_()
        frame, energy, *_ = predictions[1]
        assert abs(float(net(keel.batch(frame, 5.0, dtype=torch.float64)).energy[0]) - float(energy)) > 1e-3


def checkpoint(folder: Path, changes: dict | None = None, **arguments) -> Path:
    """Write the stored model as matgl does, with some arguments of the network changed."""
    description, state, _ = stored("bessel")
    description["kwargs"]["model"]["init_args"] |= arguments
    (folder / "model.json").write_text(json.dumps({**description, **(changes or {})}))
    torch.save(state, folder / "state.pt")
    return folder


class TestCheckpoints:
    def test_is_the_same_model(self, tmp_path):
        net = from_matgl(checkpoint(tmp_path))
        frame, energy, *_ = stored("bessel")[2][2]
        assert float(net(keel.batch(frame, 5.0, dtype=torch.float64)).energy[0]) == pytest.approx(
            float(energy), rel=1e-10
        )
        assert net.mode == "reference"
        assert net.dtype == torch.float64
        assert float(net.scale) == pytest.approx(1.7)
        assert net.offsets()[[14, 8, 1]].tolist() == [-3.0, -7.5, 0.25]
        net.save(str(tmp_path / "net.safetensors"))
        assert keel.load(tmp_path / "net.safetensors").config() == net.config()

    def test_command(self, tmp_path):
        out = tmp_path / "net.safetensors"
        arguments = ["import", str(checkpoint(tmp_path)), "--out"]
        done = CliRunner().invoke(app, [*arguments, str(out)])
        assert done.exit_code == 0, done.output
        assert "M3GNet of 3 elements" in done.output
        frame, energy, *_ = stored("bessel")[2][2]
        found = keel.load(out)(keel.batch(frame, 5.0, dtype=torch.float64)).energy
        assert float(found[0]) == pytest.approx(float(energy), rel=1e-10)
        assert "--out must end in .safetensors, not net.json" in str(
            CliRunner().invoke(app, [*arguments, "net.json"]).exception
        )
        refused = CliRunner().invoke(app, [*arguments, str(out), "--elements", "Si"])
        assert isinstance(refused.exception, keel.ConfigError)

    def test_a_model_without_potential(self, tmp_path):
        description, state, _ = stored("smooth")
        model = description["kwargs"]["model"]
        bare = {"@class": "M3GNet", "@model_version": 2, "kwargs": model["init_args"]}
        (tmp_path / "model.json").write_text(json.dumps(bare))
        torch.save(
            {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}, tmp_path / "state.pt"
        )
        whole, net = convert(description, state), from_matgl(tmp_path)
        assert float(net.scale) == 1.0
        assert torch.equal(net.embedding.weight, whole.embedding.weight)

    def test_keys_of_a_compiled_model(self):
        description, state, _ = stored("bessel")
        compiled = {k.replace("model.", "model._orig_mod.", 1): v for k, v in state.items()}
        assert torch.equal(
            convert(description, compiled).embedding.weight, convert(description, state).embedding.weight
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"include_state": True}, "include_state=True"),
            ({"use_phi": True}, "use_phi=True"),
            ({"is_intensive": True}, "is_intensive=True"),
            ({"rbf_type": "Gaussian"}, "rbf_type='Gaussian'"),
            ({"ntargets": 2}, "ntargets=2"),
            ({"activation_type": "softexp"}, "activation must be one of"),
            ({"threebody_cutoff": 6.0}, "three_body_cutoff"),
            ({"units": 12}, "damaged or from another version"),
            ({"nblocks": 3}, "damaged or from another version"),
            ({"element_types": ["Si", "O", "Xx"]}, "not a chemical element"),
        ],
    )
    def test_what_cannot_be_converted(self, tmp_path, arguments, message):
        with pytest.raises(keel.DataError, match=message) as error:
            from_matgl(checkpoint(tmp_path, **arguments))
        assert str(tmp_path) in str(error.value)

    def test_other_classes(self, tmp_path):
        with pytest.raises(keel.DataError, match="SO3Net of matgl; keel takes over"):
            from_matgl(checkpoint(tmp_path, {"@class": "SO3Net"}))

    def test_a_core_of_nuclei_is_refused(self):
        description, state, _ = stored("bessel")
        description["kwargs"]["calc_repuls"] = True
        with pytest.raises(keel.DataError, match="ZBL"):
            convert(description, state)

    def test_a_mean_and_an_older_version_are_told(self):
        description, state, _ = stored("bessel")
        with pytest.warns(keel.errors.KeelWarning, match="mean energy of 2 eV"):
            convert(description, {**state, "data_mean": torch.tensor(2.0)})
        description["kwargs"]["model"]["@model_version"] = 1
        with pytest.warns(keel.errors.KeelWarning, match="another version"):
            convert(description, state)

    def test_nothing_but_tensors_is_unpickled(self, tmp_path):
        checkpoint(tmp_path)
        torch.save({"model.x": Path("/")}, tmp_path / "state.pt")
        with pytest.raises(keel.DataError, match="cannot be read"):
            from_matgl(tmp_path)
        torch.save({"model.x": "text"}, tmp_path / "state.pt")
        with pytest.raises(keel.DataError, match="more than tensors"):
            from_matgl(tmp_path)

    @pytest.mark.parametrize(
        "content", ["", "[]", "{", '{"@class": "Potential", "kwargs": {}}', '{"@class": 1, "kwargs": 2}']
    )
    def test_damaged_descriptions(self, tmp_path, content):
        checkpoint(tmp_path)
        (tmp_path / "model.json").write_text(content)
        with pytest.raises(keel.DataError):
            from_matgl(tmp_path)

    @pytest.mark.parametrize("name", ["model.json", "state.pt"])
    def test_absent_files(self, tmp_path, name):
        (checkpoint(tmp_path) / name).unlink()
        with pytest.raises(keel.DataError, match=name):
            from_matgl(tmp_path)


@pytest.mark.oracle
class TestAgainstMatgl:
    """Equal to matgl's M3GNet through a checkpoint that it saves."""

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"use_smooth": True, "max_n": 4, "max_l": 2},
            {"units": 24, "dim_node_embedding": 20, "dim_edge_embedding": 12, "nblocks": 2, "activation_type": "tanh"},
        ],
        ids=str,
    )
    def test_energy_forces_stress(self, tmp_path, options):
        if os.environ.get("CI") != "true":
            pytest.importorskip("matgl")
        from matgl.apps.pes import Potential
        from matgl.ext.ase import Atoms2Graph
        from matgl.models import M3GNet
        from matgl.utils.constants import EV_PER_ANG3_TO_GPA

        torch.manual_seed(0)
        model = M3GNet(element_types=("Si", "O"), is_intensive=False, **options)
        peer = Potential(model, data_std=3.0, element_refs=[-1.0, -2.0]).eval()
        peer.save(tmp_path)
        net = from_matgl(tmp_path)
        for frame in (crystal(1), crystal(2, n=2, a=2.6), crystal(3, n=20, a=7.0)):
            graph, lattice, state = Atoms2Graph(("Si", "O"), 5.0).get_graph(frame.to_ase())
            predicted = peer(graph, torch.as_tensor(lattice).float().reshape(1, 3, 3), state)
            energy, forces, stress = (p.detach() for p in predicted[:3])
            found = net(keel.batch(frame, 5.0))
            assert float(found.energy[0]) == pytest.approx(float(energy), rel=1e-5)
            assert float((found.forces - forces).abs().max()) <= 1e-4 * float(forces.abs().max())
            difference = (found.stress[0] - stress / EV_PER_ANG3_TO_GPA).abs().max()
            assert float(difference) <= 1e-4 * float(stress.abs().max()) / EV_PER_ANG3_TO_GPA
