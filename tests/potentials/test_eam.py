"""The EAM potential: its functions, parameters and file."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import keel
from keel.atoms.frame import Frame
from keel.potentials.classical.dimer import dimer

POSITIVE = st.floats(1e-3, 1e3)


def silica() -> keel.EAM:
    eam = keel.EAM.from_elements(["O", "Si"], cutoff=5.0)
    config = eam.config()
    config["elements"]["O"] |= {"density": 0.3, "beta": 1.7, "embedding": 2.2}
    config["pairs"]["O-Si"] |= {"alpha": 2.1, "repulsion": 1.9, "attraction": 4.0}
    config["pairs"]["O-O"] |= {"alpha": 1.2, "repulsion": 9.0, "attraction": 0.0}
    eam = keel.EAM(**config)
    eam.set_offsets({8: -430.25, 14: -101.5})
    return eam


def cluster(seed: int = 0, n: int = 7) -> Frame:
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(2)] * 3), axis=-1).reshape(-1, 3)[:n] * 1.9
    return Frame(rng.choice([8, 14], n), grid + rng.uniform(-0.4, 0.4, (n, 3)))


def by_hand(eam: keel.EAM, frame: Frame) -> float:
    """The energy as the equations stand, pair by pair."""
    c = eam.config()
    names = ["O" if z == 8 else "Si" for z in frame.numbers]
    energy = 0.0
    for i, a in enumerate(names):
        rho = 0.0
        for j, b in enumerate(names):
            r = float(np.linalg.norm(frame.positions[i] - frame.positions[j]))
            if i == j or r >= c["cutoff"]:
                continue
            t = min(max((r / c["cutoff"] - 0.66) / 0.34, 0.0), 1.0)
            s = 1 - 10 * t**3 + 15 * t**4 - 6 * t**5
            p = c["pairs"]["-".join(sorted((a, b)))]
            x = np.exp(-p["alpha"] * (r - p["radius"]))
            energy += 0.5 * (p["repulsion"] * x**2 - p["attraction"] * x) * s
            e = c["elements"][b]
            rho += e["density"] * np.exp(-e["beta"] * (r - e["radius"])) * s
        energy -= c["elements"][a]["embedding"] * (np.sqrt(rho + c["delta"]) - np.sqrt(c["delta"]))
        energy += float(eam.energy_offsets[int(frame.numbers[i])])
    return energy


def energy_of(potential: keel.Potential, frame: Frame) -> float:
    return float(potential(keel.batch(frame, potential.cutoff, dtype=torch.float64)).energy)


@pytest.mark.parametrize("seed", range(4))
def test_energy_is_what_the_equations_say(seed):
    frame = cluster(seed)
    assert energy_of(silica(), frame) == pytest.approx(by_hand(silica(), frame), rel=1e-10, abs=1e-9)


def test_elements_with_equal_parameters_are_one_element():
    one = keel.EAM.from_elements(["Si"], cutoff=5.0).config()
    element, pair = one["elements"]["Si"], one["pairs"]["Si-Si"]
    two = keel.EAM({"O": element, "Si": element}, dict.fromkeys(("O-O", "O-Si", "Si-Si"), pair), cutoff=5.0)
    frame = cluster(1)
    same = frame.replace(numbers=np.full(len(frame), 14))
    assert energy_of(two, frame) == pytest.approx(energy_of(keel.EAM(**one), same), abs=1e-10)


@settings(max_examples=20)
@given(st.lists(POSITIVE, min_size=9, max_size=9), st.sampled_from([".json", ".safetensors"]))
def test_a_file_gives_back_every_digit(tmp_path_factory, numbers, suffix):
    a, b, c, d, e, f, g, h, k = numbers
    eam = keel.EAM(
        {"P": {"density": a, "beta": b, "radius": c, "embedding": d}},
        {"P-P": {"alpha": e, "repulsion": f, "attraction": g, "radius": h}},
        cutoff=6.0,
        delta=k,
        pairs_without_data=["P-P"],
    )
    eam.set_offsets({15: -a * 100})
    path = tmp_path_factory.mktemp("eam") / f"eam{suffix}"
    eam.save(str(path))
    again = keel.load(path)
    assert again.config() == eam.config()
    assert torch.equal(again.offsets(), eam.offsets())
    if suffix == ".json":
        assert json.loads(path.read_text())["config"]["pairs"]["P-P"]["alpha"] == e


def test_parameters_can_be_trained_and_stay_positive_and_survive_the_file(tmp_path):
    eam = silica()
    graph = keel.batch([cluster(s) for s in range(3)], 5.0, dtype=torch.float64)
    target = keel.EAM.from_elements(["O", "Si"], cutoff=5.0)(graph).forces
    optimiser = torch.optim.Adam(eam.parameters(), lr=0.3)
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        loss = (eam(graph, differentiable=True).forces - target).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
    values = eam.values()
    assert values["attraction"][0] == 0
    assert all(bool((v > 0).all()) for n, v in values.items() if n != "attraction")
    eam.save(str(tmp_path / "eam.safetensors"))
    assert torch.equal(keel.load(tmp_path / "eam.safetensors")(graph).forces, eam(graph).forces)


def test_gradient_with_respect_to_parameters_is_that_of_finite_differences():
    eam, graph = silica(), keel.batch(cluster(3), 5.0, dtype=torch.float64)
    mixing = torch.linspace(-1, 1, graph.n_atoms * 3, dtype=torch.float64).reshape(-1, 3)

    def scalar() -> torch.Tensor:
        prediction = eam(graph, differentiable=True)
        return (prediction.forces * mixing).sum() + 0.1 * prediction.energy.sum()

    scalar().backward()
    for name, parameter in eam.named_parameters():
        index, step = parameter.numel() - 1, 1e-5
        found = parameter.grad.reshape(-1)[index].item()
        with torch.no_grad():
            parameter.reshape(-1)[index] += step
            above = scalar().item()
            parameter.reshape(-1)[index] -= 2 * step
            below = scalar().item()
            parameter.reshape(-1)[index] += step
        assert found == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-7), name


@pytest.mark.parametrize("core", [False, True])
def test_the_shares_of_a_dimer_add_up_to_its_energy(core):
    eam = silica()
    potential = keel.SumPotential([eam, keel.ZBL(elements=["O", "Si"])]) if core else eam
    r = torch.tensor([0.4, 0.9, 1.6, 2.5, 4.9, 5.5], dtype=torch.float64)
    parts = dimer(potential, "Si", "O", r)
    torch.testing.assert_close(parts.total, parts.embedding + parts.morse + parts.core)
    assert bool((parts.core != 0).any()) == core
    for k, distance in enumerate(r.tolist()):
        frame = Frame(np.array([14, 8]), np.array([[0.0, 0, 0], [0, distance, 0]]))
        assert energy_of(potential, frame) == pytest.approx(float(parts.total[k]) + parts.atomic, abs=1e-9)
    torch.testing.assert_close(parts.density[0], eam.density(r, "O", "Si"))


def test_a_dimer_of_something_else_is_refused():
    with pytest.raises(keel.ConfigError, match="LennardJones"):
        dimer(keel.LennardJones(), "Si", "O", torch.ones(3))


def test_a_well_is_where_the_pair_energy_is_lowest():
    eam = silica()
    wells = eam.wells()
    assert set(wells) == {"O-Si", "Si-Si"}
    depth, position = wells["O-Si"]
    r = torch.linspace(1.0, 3.0, 2001, dtype=torch.float64)
    phi = eam.pair_energy(r, "O", "Si")
    assert float(phi.min()) == pytest.approx(-depth, abs=1e-5)
    assert float(r[phi.argmin()]) == pytest.approx(position, abs=1e-3)


@pytest.mark.parametrize(
    ("table", "row", "key", "value", "message"),
    [
        ("elements", "O", "beta", None, "beta"),
        ("pairs", "O-Si", "alpha", 0.0, "alpha"),
        ("pairs", "O-Si", "repulsion", -1.0, "repulsion"),
        ("elements", "Si", "density", float("nan"), "density"),
    ],
)
def test_an_impossible_parameter_is_named(table, row, key, value, message):
    config = silica().config()
    if value is None:
        del config[table][row][key]
    else:
        config[table][row][key] = value
    with pytest.raises(keel.ConfigError, match=message):
        keel.EAM(**config)


def test_functions_refuse_an_unknown_element():
    with pytest.raises(keel.ConfigError, match="knows O, Si but not Cu"):
        silica().density(torch.ones(2), "Cu", "O")


def test_all_elements_at_once():
    eam = keel.EAM.from_elements(range(1, 95), cutoff=5.0)
    assert len(eam.pair_names) == 94 * 95 // 2
    torch.testing.assert_close(
        eam.pair_energy(torch.tensor([2.0]), "U", "H"), eam.pair_energy(torch.tensor([2.0]), "H", "U")
    )
    assert energy_of(eam, cluster()) == pytest.approx(energy_of(keel.EAM.from_elements([8, 14], 5.0), cluster()))
