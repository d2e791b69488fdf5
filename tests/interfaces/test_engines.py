"""Outside programs give the numbers of our potentials: LAMMPS, metatomic's engine, torch-sim, OpenMM and i-PI."""

import copy
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.md.verlet import VelocityVerlet

import keel
from documents import run_python
from keel.errors import ConfigError
from keel.interfaces.lammps import attach, start
from keel.potentials.external import MACE
from keel.testing import check_engine
from keel.testing.engines import ENGINES, engines_for

pytestmark = pytest.mark.oracle
ELEMENTS = ["O", "Si"]


def potential(name: str) -> keel.Potential:
    """Return a small potential with energies of elements that are large."""
    torch.manual_seed(0)
    made = {
        "CGCNN": lambda: keel.CGCNN(ELEMENTS, preset="small"),
        "M3GNet": lambda: keel.M3GNet(ELEMENTS, preset="small"),
        "TorchMDET": lambda: keel.TorchMDET(ELEMENTS, preset="small"),
        "zbl-delta": lambda: keel.SumPotential([keel.M3GNet(ELEMENTS, preset="small"), keel.ZBL(elements=ELEMENTS)]),
        "eam-delta": lambda: keel.SumPotential(
            [keel.CGCNN(ELEMENTS, preset="small"), keel.EAM.from_elements(ELEMENTS, 6.0)]
        ),
        "MACE": lambda: MACE(ELEMENTS, preset="small"),
        "pretrain": lambda: keel.SumPotential(
            [
                keel.ClampedNetwork(keel.CGCNN(ELEMENTS, preset="small"), {"O-O": 2.3, "O-Si": 1.5}),
                keel.ContactRepulsion({"O-O": {"contact": 2.3, "push": 4.0}, "O-Si": {"contact": 1.5, "push": 15.0}}),
                keel.ZBL(elements=ELEMENTS),
            ]
        ),
        "EAM": lambda: keel.EAM.from_elements(ELEMENTS, 6.0),
    }[name]()
    made.set_offsets({8: -430.0, 14: -7000.0})
    return made.eval()


NAMES = ("CGCNN", "M3GNet", "TorchMDET", "zbl-delta", "eam-delta", "pretrain", "MACE")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_numbers_on_a_crystal_a_slab_a_molecule_and_an_atom(engine, name, dtype):
    check_engine(engine, potential(name).to(dtype))


def test_all_engines_are_here():
    assert engines_for().keys() == ENGINES.keys()


def test_the_examples_of_the_page_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    keel.SumPotential([keel.CGCNN(["Si"], preset="small"), keel.ZBL(elements=["Si"])]).save("network.safetensors")
    names, count = run_python("docs/engines.md")
    assert count == 4 and names["lmp"].extract_global("ntimestep") == 20
    state = names["context"].getState(energy=True)
    assert np.isfinite([state.getPotentialEnergy()._value, *names["energies"]]).all()


def silica(n: int = 2) -> Atoms:
    atoms = bulk("SiO", "zincblende", a=4.6, cubic=True).repeat((n, n, n))
    atoms.rattle(0.05, seed=2)
    return atoms


def lammps_with(atoms: Atoms, *, boundary: str = "p p p", masses: bool = True):
    lmp, box = start(), atoms.cell.lengths()
    lmp.commands_list(
        [
            "units metal",
            f"boundary {boundary}",
            f"region box block 0 {box[0]} 0 {box[1]} 0 {box[2]}",
            "create_box 2 box",
            *(["mass 1 15.999", "mass 2 28.085"] if masses else []),
        ]
    )
    lmp.create_atoms(len(atoms), None, [1 if z == 8 else 2 for z in atoms.numbers], atoms.positions.ravel().tolist())
    return lmp


class TestLAMMPS:
    @pytest.mark.parametrize("name", ["CGCNN", "EAM"])
    def test_dynamics_are_those_of_ase(self, name):
        """Across the faces of the box, where LAMMPS wraps atoms and sorts them anew."""
        model, atoms = potential(name).double(), silica()
        lmp = lammps_with(atoms)
        attached = attach(lmp, model)
        lmp.commands_list(
            ["atom_modify sort 7 3.0", "velocity all create 900 3", "fix nve all nve", "timestep 0.001", "thermo 10"]
        )
        lmp.command("run 0")
        atoms.calc = keel.KeelCalculator(model)
        order = np.argsort(lmp.numpy.extract_atom("id"))
        velocities = lmp.numpy.extract_atom("v")[order] / (1000 * units.fs)  # angstrom/ps
        atoms.set_masses([15.999 if z == 8 else 28.085 for z in atoms.numbers])
        atoms.set_velocities(velocities)
        VelocityVerlet(atoms, units.fs).run(60)
        lmp.command("run 60")
        found = np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3)
        apart = (found - atoms.positions) / atoms.cell.lengths()
        assert np.abs(apart - np.round(apart)).max() < 1e-6
        assert np.abs(np.round(apart)).max() >= 1, "no atom has crossed a face"
        assert lmp.get_thermo("pe") == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
        assert attached._moving._list.rebuilds < 40

    def test_energies_of_atoms_and_the_barostat_see_it(self):
        model, atoms = potential("CGCNN").double(), silica(1)
        lmp = lammps_with(atoms)
        attach(lmp, model, ELEMENTS)
        lmp.commands_list(
            [
                "compute each all pe/atom",
                "compute sum all reduce sum c_each",
                "thermo_style custom step pe press lx c_sum",
                "run 0",
            ]
        )
        atoms.calc = keel.KeelCalculator(model)
        np.testing.assert_allclose(
            lmp.numpy.extract_compute("each", 1, 1)[np.argsort(lmp.numpy.extract_atom("id"))],
            atoms.get_potential_energies(),
        )
        lmp.commands_list(["fix npt all npt temp 300 300 0.1 iso 1e5 1e5 0.2", "run 20"])
        assert abs(lmp.get_thermo("lx") - 4.6) > 1e-3
        moved = Atoms(atoms.numbers, cell=3 * [lmp.get_thermo("lx")], pbc=True)
        moved.positions = np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3)
        moved.calc = keel.KeelCalculator(model)
        assert lmp.get_thermo("pe") == pytest.approx(moved.get_potential_energy(), abs=1e-6)

    def test_what_cannot_be_attached(self):
        model = potential("CGCNN")
        with pytest.raises(ConfigError, match="mass of atom type 1"):
            attach(lammps_with(silica(1), masses=False), model)
        with pytest.raises(ConfigError, match="LAMMPS has 2 atom types"):
            attach(lammps_with(silica(1)), model, ["O"])
        with pytest.raises(ConfigError, match="are Cu, but the potential knows O, Si"):
            attach(lammps_with(silica(1)), model, ["O", "Cu"])
        lmp = start()
        lmp.command("units real")
        with pytest.raises(ConfigError, match="LAMMPS has units real"):
            attach(lmp, model)

    def test_an_error_within_a_step_stops_the_run(self, capsys):
        lmp = lammps_with(silica(1))
        attached = attach(lmp, potential("CGCNN"))
        attached._moving = None
        lmp.commands_list(["fix nve all nve", "run 50"])
        assert lmp.extract_global("ntimestep") < 3
        assert isinstance(attached.error, AttributeError)
        assert "keel: at step" in capsys.readouterr().err


class TestMetatomic:
    @pytest.fixture
    def model(self, tmp_path):
        from metatomic_ase import MetatomicCalculator

        from keel.interfaces.metatomic import write_metatomic

        assert write_metatomic(potential("TorchMDET").double(), tmp_path / "net.pt") == 15.0
        return MetatomicCalculator(str(tmp_path / "net.pt"), device="cpu", check_consistency=True)

    def test_energies_of_selected_atoms_are_theirs(self, model):
        from metatensor.torch import Labels
        from metatomic.torch import ModelOutput

        structures = [silica(1), Atoms("Si"), Atoms("OSi", positions=[[0, 0, 0], [1.6, 0, 0]])]
        truth = [potential("TorchMDET").double()(a).atomic_energies.numpy() for a in structures]
        chosen = [[0, 5], [2, 1], [0, 2]]
        labels = Labels(["system", "atom"], torch.tensor(chosen, dtype=torch.int32))
        for kind in ("atom", "system"):
            outputs = {"energy": ModelOutput(unit="eV", sample_kind=kind)}
            everything = model.run_model(structures, outputs)["energy"].block()
            some = model.run_model(structures, outputs, labels)["energy"].block()
            if kind == "system":
                np.testing.assert_allclose(everything.values[:, 0], [t.sum() for t in truth])
                np.testing.assert_allclose(some.values[:, 0], [truth[0][[2, 5]].sum(), 0.0, truth[2][1]], atol=1e-9)
                continue
            np.testing.assert_allclose(everything.values[:, 0], np.concatenate(truth))
            found = {tuple(s): float(v) for s, v in zip(some.samples.values.tolist(), some.values[:, 0], strict=True)}
            assert found == pytest.approx({(s, a): truth[s][a] for s, a in chosen})

    def test_forces_of_selected_atoms_are_theirs(self, model):
        """As of the atoms of one rank: whether the engine asks for energies of systems or of atoms."""
        from metatensor.torch import Labels
        from metatomic.torch import ModelEvaluationOptions, ModelOutput, systems_to_torch
        from vesin.metatomic import neighbor_lists_for_model

        chosen, found = [1, 4, 5, 7], {}
        labels = Labels(["system", "atom"], torch.tensor([[0, a] for a in chosen], dtype=torch.int32))
        for kind in ("atom", "system"):
            (system,) = systems_to_torch([silica(1)], dtype=torch.float64, positions_requires_grad=True)
            for neighbours in neighbor_lists_for_model("angstrom", model.model()):
                neighbours.add_neighbor_list([system])
            outputs = {"energy": ModelOutput(unit="eV", sample_kind=kind)}
            options = ModelEvaluationOptions("angstrom", outputs, labels)
            energy = model.model()([system], options, check_consistency=True)["energy"].block().values.sum()
            (slope,) = torch.autograd.grad(energy, system.positions)
            found[kind] = float(energy), slope.numpy()
        network, atoms = potential("TorchMDET").double(), silica(1)
        truth = network(atoms).atomic_energies[chosen].sum()
        for energy, slope in found.values():
            assert energy == pytest.approx(float(truth), abs=1e-9)
            np.testing.assert_allclose(slope, found["atom"][1], atol=1e-9)
        for atom, axis in ((4, 0), (0, 2), (7, 1)):
            ends = []
            for step in (1e-4, -1e-4):
                moved = atoms.copy()
                moved.positions[atom, axis] += step
                ends.append(float(network(moved).atomic_energies[chosen].sum()))
            assert found["system"][1][atom, axis] == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-5, abs=1e-7)

    def test_its_capabilities(self, model):
        capabilities = model.model().capabilities()
        assert capabilities.atomic_types == [8, 14] and capabilities.dtype == "float64"
        assert capabilities.interaction_range == 15.0
        assert "cpu" in capabilities.supported_devices
        (neighbours,) = model.model().requested_neighbor_lists()
        assert neighbours.cutoff == 5.0 and not neighbours.full_list

    def test_an_atom_feels_nothing_beyond_the_range(self, model):
        """Atoms in a row, each a neighbour of the next only: an end that moves is felt within the range."""
        spacing = 3.9
        row = Atoms("Si6", positions=spacing * np.arange(6)[:, None] * [1.0, 0, 0])
        row.calc = model
        before = row.get_potential_energies()
        row.positions[-1, 1] += 0.5
        felt = np.abs(row.get_potential_energies() - before) > 1e-13
        distances = spacing * np.arange(6)[::-1]
        assert not felt[distances > 15.0].any() and felt[distances < 2 * spacing].all()

    def test_the_command(self, tmp_path):
        potential("zbl-delta").save(str(tmp_path / "net.safetensors"))
        command = [sys.executable, "-m", "keel", "export", "net.safetensors", "--out", "net.pt"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert "interaction range 10 Å" in done.stdout and "pair_coeff * * 8 14" in done.stdout
        refused = subprocess.run(
            [sys.executable, "-m", "keel", "dimers", "net.pt", "--elements", "Si"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert refused.returncode == 2 and "metatomic_ase.MetatomicCalculator" in refused.stderr

    def test_a_file_of_metatomic_is_judged_like_any_calculator(self, model, tmp_path):
        """The calculator differentiates with torch."""
        name = "metatomic_ase.MetatomicCalculator"
        opened = keel.open_potential(name, {"model": str(tmp_path / "net.pt"), "device": "cpu"})
        truth = potential("TorchMDET").double()(silica(1))
        found = opened(silica(1))
        np.testing.assert_allclose(found.forces, truth.forces, atol=1e-9)
        np.testing.assert_allclose(found.stress, truth.stress, atol=1e-9)


class TestTorchSim:
    def test_their_own_contract(self):
        from torch_sim.models.interface import validate_model_outputs

        from keel.interfaces.torchsim import torch_sim_model

        network = keel.CGCNN(["Si", "Fe"], preset="small")
        validate_model_outputs(torch_sim_model(network), torch.device("cpu"), torch.float64)

    def test_the_neighbour_list_follows_the_atoms(self):
        import torch_sim as ts
        from torch_sim.integrators import nve

        from keel.interfaces.torchsim import torch_sim_model

        model = torch_sim_model(potential("CGCNN"), dtype="float64")
        starts = [silica(1), bulk("Si", cubic=True)]
        final = ts.integrate(starts, model, integrator=nve, n_steps=40, temperature=1000.0, timestep=0.001)
        fresh = torch_sim_model(potential("CGCNN"), dtype="float64")(final)
        for name, value in model(final).items():
            torch.testing.assert_close(value, fresh[name])


def model_of_torch_sim():
    """Return one, for those who name this function."""
    from keel.interfaces.torchsim import torch_sim_model

    return torch_sim_model(potential("CGCNN").double())


class TestModelsOfTorchSim:
    def test_one_that_is_named_labels_whole_batches(self, monkeypatch):
        from keel.potentials.external import TorchSimPotential

        model = keel.open_potential("test_engines.model_of_torch_sim")
        assert isinstance(model, TorchSimPotential)
        calls = []
        forward = type(model.calculator).forward
        monkeypatch.setattr(type(model.calculator), "forward", lambda *a: calls.append(a) or forward(*a))
        structures = [silica(1), silica(2), Atoms("Si2", positions=[[0, 0, 0], [2.2, 0, 0]])]
        found = model(structures)
        assert len(calls) == 1 and model.boxed
        truth = potential("CGCNN").double()(structures)
        torch.testing.assert_close(found.energy, truth.energy)
        torch.testing.assert_close(found.forces, truth.forces)
        torch.testing.assert_close(found.stress, truth.stress, equal_nan=True)

    def test_it_stays_as_it_was_made(self):
        model = keel.open_potential("test_engines.model_of_torch_sim")
        assert sum(p.numel() for p in model.parameters()) == 0
        assert model.float().calculator.dtype == torch.float64
        assert copy.deepcopy(model).calculator is model.calculator


def test_openmm_runs_it_beside_other_forces():
    import openmm

    from keel.interfaces.openmm import KJ_PER_MOL, NM, openmm_force

    atoms = Atoms("OSiO", positions=[[-1.6, 0, 0], [0, 0, 0], [1.5, 0.4, 0]])
    model = potential("CGCNN").double()
    system = openmm.System()
    for mass in atoms.get_masses():
        system.addParticle(mass)
    spring = openmm.HarmonicBondForce()
    spring.addBond(0, 1, 0.16, 1000.0)
    system.addForce(spring)
    system.addForce(openmm_force(model, atoms.numbers, periodic=False))
    integrator = openmm.VerletIntegrator(0.0002)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(atoms.positions / NM)

    def total():
        state = context.getState(energy=True)
        return (state.getPotentialEnergy() + state.getKineticEnergy())._value / KJ_PER_MOL

    before = total()
    integrator.step(200)
    assert total() == pytest.approx(before, abs=1e-3)


def _script(name: str) -> Path:
    """Return a script of the wheel of i-PI."""
    import ipi

    folders = [Path(sys.executable).parent, *(p / "bin" for p in Path(ipi.__file__).parents[1:2])]
    return next(folder / name for folder in folders if (folder / name).is_file())


IPI = """
<simulation mode='static' verbosity='low'>
  <output prefix='out'>
    <properties stride='1' filename='properties'> [ step, potential{{electronvolt}} ] </properties>
  </output>
  <total_steps> 1 </total_steps>
  <ffsocket name='keel' mode='inet' pbc='false'>
    <address> localhost </address> <port> {port} </port> <timeout> 60 </timeout>
  </ffsocket>
  <system>
    <initialize nbeads='1'> <file mode='ase'> start.extxyz </file> </initialize>
    <forces> <force forcefield='keel'/> </forces>
    <motion mode='dynamics'> <dynamics mode='nve'> <timestep units='femtosecond'> 1 </timestep> </dynamics> </motion>
  </system>
</simulation>
"""


def test_ipi_gets_its_numbers_through_the_socket_of_ase(tmp_path):
    from ase.calculators.socketio import SocketClient

    atoms, model = silica(1), potential("CGCNN").double()
    model.set_offsets({})  # i-PI and ASE have other constants in the eighth digit
    atoms.write(tmp_path / "start.extxyz")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    (tmp_path / "input.xml").write_text(IPI.format(port=port))
    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen(
            [sys.executable, str(_script("i-pi")), "input.xml"],
            cwd=tmp_path,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ,
        )
    try:
        client = None
        while client is None:
            assert server.poll() is None, (tmp_path / "log").read_text()
            try:
                client = SocketClient(port=port)
            except OSError:
                time.sleep(0.1)
        atoms.calc = keel.KeelCalculator(model)
        client.run(atoms, use_stress=False)
        server.wait(60)
    finally:
        server.kill()
    rows = np.loadtxt(tmp_path / "out.properties")
    fresh = silica(1)
    fresh.calc = keel.KeelCalculator(model)
    assert np.atleast_2d(rows)[0, 1] == pytest.approx(fresh.get_potential_energy(), abs=1e-6 * len(fresh))
