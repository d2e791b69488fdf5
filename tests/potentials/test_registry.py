"""One list of potentials, which files, configurations, commands and documentation ask."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import keel
from keel.cli import app
from keel.config import RunSettings
from keel.errors import ConfigError
from keel.potentials.base import Potential, lengths
from keel.potentials.networks.layered import Chain
from keel.potentials.networks.network import Network, network_class
from keel.potentials.switch import quintic_switch
from keel.settings import parse
from keel.testing import check_potential
from keel.workflow import run
from small_potentials import built_in_networks
from tiny_run import FEW

ROOT = Path(__file__).parents[2]


class Toy(Network):
    """The shortest network: the energy of an atom depends on its element and on how many neighbours it has."""

    presets = {"small": {"cutoff": 4.0, "width": 4}}

    def __init__(self, elements, cutoff=None, preset="small", width=None):
        options = self.options(preset, cutoff=cutoff, width=width)
        super().__init__(elements, options["cutoff"])
        self.embedding = nn.Embedding(self.n_species, options["width"])
        self.readout = nn.Sequential(nn.Linear(options["width"] + 1, 8), nn.SiLU(), nn.Linear(8, 1))

    def config(self):
        width = self.embedding.embedding_dim
        return {"elements": list(self.elements), "cutoff": self.cutoff, "width": width}

    def chain(self, edges):
        def geometry(vectors, i, j):
            return (quintic_switch(lengths(vectors), 0.0, self.cutoff),)

        def layer(state, geometry, i, j):
            (v,), (s,) = state, geometry
            return (torch.cat([v, s.new_zeros(len(v)).index_add(0, i, s)[:, None]], dim=1),)

        def output(state):
            return self.readout(state[0])[:, 0]

        return Chain((self.embedding(edges.species),), geometry, [layer], output, (edges.i, edges.j))


class TestANetworkOfYourOwn:
    """It is defined, and nothing else is changed."""

    def test_keeps_the_contract(self):
        torch.manual_seed(0)
        check_potential(Toy(["Si", "O"]))

    def test_is_trained_saved_and_loaded(self, tmp_path):
        torch.manual_seed(0)
        frames = keel.read(FEW)[:4]
        result = keel.train(Toy(["P"]), frames, settings=keel.TrainingSettings(steps=4, batch_size=2))
        result.potential.save(str(tmp_path / "toy.safetensors"))
        again, graph = keel.load(tmp_path / "toy.safetensors"), keel.batch(frames, 4.0)
        assert type(again) is Toy and torch.equal(again(graph).forces, result.potential(graph).forces)

    def test_is_named_in_a_configuration(self, tmp_path):
        settings = {
            "name": "tiny",
            "data": {"files": [str(FEW)], "split": {"train": 4, "validation": 2, "test": 2}},
            "networks": [{"architecture": "Toy", "width": 3}],
            "strategies": ["pretrain"],
            "training": {"steps": 10, "batch_size": 2},
            "md": {"temperatures": [300], "runs": 1, "length_fs": 5, "longest_fs": 5},
            "evaluation": {"dimers": False},
        }
        assert run(parse(RunSettings, settings, "test"), tmp_path).is_file()
        (trained,) = tmp_path.glob("*/train/Toy-pretrain-seed0-*/potential.safetensors")
        toy, *walls = keel.load(trained).members
        assert toy.network.config() == {"elements": [15], "cutoff": 4.0, "width": 3}
        assert [type(wall) for wall in walls] == [keel.ContactRepulsion, keel.ZBL]

    def test_is_named_on_the_command_line(self, tmp_path):
        keel.write(tmp_path / "p.extxyz", keel.read(FEW)[:10])
        arguments = ["train", str(tmp_path / "p.extxyz"), "--strategy", "vanilla", "--steps", "1"]
        done = CliRunner().invoke(app, [*arguments, "--network", "Toy", "--out", str(tmp_path / "m")])
        assert done.exit_code == 0, done.output
        assert type(keel.load(tmp_path / "m" / "potential.safetensors")) is Toy
        with pytest.raises(ConfigError, match=r"there is no 'Foe'; choose from .*CGCNN, .*Toy"):
            network_class("Foe")


class TestNames:
    @pytest.mark.parametrize("name", ["EAM", "CGCNN", "MACE", "Network"])
    def test_of_others_are_refused(self, name):
        before = Potential.registry[name]
        with pytest.raises(
            ConfigError, match=f"there is already a potential {name}, in {before.__module__}; .*test_re"
        ):
            type(name, (keel.LennardJones,), {"__module__": __name__})
        assert Potential.registry[name] is before

    def test_the_same_class_may_be_defined_again(self, tmp_path):
        """As in a notebook, whose cells are run twice; files are then read as what was defined last."""
        path = tmp_path / "again.json"
        for depth in (1.0, 2.0):

            class Again(keel.LennardJones):
                epsilon_times = depth

            Again().save(str(path))
            assert keel.load(path).epsilon_times == depth

    def test_of_files_that_were_written_before(self, tmp_path):
        """Every class that files may hold is known without being asked for."""
        code = "from keel.potentials.base import Potential; import keel; keel.load; print(sorted(Potential.registry))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        known = set(json.loads(done.stdout.replace("'", '"')))
        assert known >= {"EAM", "ZBL", "LennardJones", "SumPotential", "MACE", "MatglPotential", *built_in_networks()}
        assert known >= {"TorchMDNetPotential", "ASEPotential"}


class TestLists:
    """What lists networks asks the registry, or is compared with it here."""

    @pytest.mark.parametrize("name", built_in_networks())
    def test_public_by_one_name(self, name):
        assert getattr(keel, name) is getattr(keel.potentials, name) is Potential.registry[name]

    @pytest.mark.parametrize("name", built_in_networks())
    def test_the_contract_of_each_is_tested(self, name):
        assert f"class Test{name}(PotentialContract)" in (ROOT / "tests/testing/test_contract.py").read_text()

    def test_documentation_names_exactly_the_networks_that_there_are(self):
        lines = (ROOT / "docs" / "networks.md").read_text().splitlines()
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
        assert {row[0] for row in rows if row[0].startswith("`keel.")} == {
            f"`keel.{name}`" for name in built_in_networks()
        }
        written = [row for row in rows if len(row) == 4 and row[0]]
        options = [
            [f"{name} `{option}`", *(str(cls.presets[preset][option]) for preset in ("small", "default", "paper"))]
            for name, cls in built_in_networks().items()
            for option in cls.presets["small"]
        ]
        table = "\n".join(f"| {' | '.join(row)} |" for row in options)
        assert sorted(written) == sorted(options), f"the table of presets in docs/networks.md should be\n{table}"
