"""What keel gives back to mace-torch, matgl and torchmd-net, as far as it needs none of them; and what is refused."""

import re
import sys

import pytest
import torch
from typer.testing import CliRunner

import keel
from doors import matgl_folder
from keel.cli import app
from keel.errors import ConfigError, DataError, UnavailableError
from keel.interfaces.packages import EXACT, _compare, _trials, rounding, write_matgl
from keel.potentials.external.back import to_torchmdnet
from keel.potentials.external.mace import _index
from keel.potentials.external.matgl_checkpoint import from_matgl
from keel.potentials.external.matgl_weights import matgl_state
from keel.potentials.external.torchmdnet_checkpoint import from_torchmdnet
from small_potentials import cgcnn
from torchmd_et_reference import stored

PACKAGES = {"mace": "mace-torch", "matgl": "matgl", "torchmd-net": "torchmd-net"}


def told(*arguments) -> str:
    """Return the one sentence by which a command is refused."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert isinstance(done.exception, ConfigError), f"{done.output} {done.exception!r}"
    assert "\n" not in str(done.exception)
    return str(done.exception)


class TestRefusals:
    @pytest.mark.parametrize("form", PACKAGES)
    def test_a_network_on_something(self, form, tmp_path):
        network = keel.M3GNet(["Si", "O"], preset="small")
        for under in (keel.ZBL(elements=["Si", "O"]), keel.EAM.from_elements(["Si", "O"], 4.0)):
            clamped = keel.ClampedNetwork(network, {"O-Si": 1.5})
            keel.SumPotential([clamped, under]).save(str(tmp_path / "a.safetensors"))
            sentence = told("export", tmp_path / "a.safetensors", "--to", form, "--out", tmp_path / "b")
            assert f"is on {type(under).__name__}, which a file of {PACKAGES[form]} cannot store" in sentence
            assert "--to metatomic" in sentence and "repair-only" in sentence
        assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]

    def test_a_clamped_network(self, tmp_path):
        keel.ClampedNetwork(keel.M3GNet(["Si", "O"], preset="small"), {"O-Si": 1.5}).save(
            str(tmp_path / "a.safetensors")
        )
        sentence = told("export", tmp_path / "a.safetensors", "--to", "matgl", "--out", tmp_path / "b")
        assert "matgl has no ClampedNetwork" in sentence and "--to metatomic" in sentence

    @pytest.mark.parametrize("form", PACKAGES)
    def test_a_network_that_the_package_does_not_have(self, form, tmp_path):
        cgcnn().save(str(tmp_path / "a.safetensors"))
        sentence = told("export", tmp_path / "a.safetensors", "--to", form, "--out", tmp_path / "b")
        assert f"{PACKAGES[form]} has no CGCNN, only what is " in sentence and "--to metatomic" in sentence

    @pytest.mark.parametrize(
        ("network", "form", "setting"),
        [
            (lambda: keel.M3GNet(["Si"], preset="small"), "matgl", "mode='smooth', a switch"),
            (lambda: keel.TorchMDET(["Si"], preset="small"), "torchmd-net", "mode='smooth', which"),
            (
                lambda: keel.TorchMDET(["Si"], preset="small", mode="reference", output_model="Scalar"),
                "torchmd-net",
                "output_model='Scalar', which",
            ),
        ],
        ids=["M3GNet", "TorchMDET", "head"],
    )
    def test_a_setting_that_the_package_does_not_have(self, network, form, setting, tmp_path):
        network().save(str(tmp_path / "a.safetensors"))
        assert setting in told("export", tmp_path / "a.safetensors", "--to", form, "--out", tmp_path / "b")

    def test_options_of_other_formats_and_places(self, tmp_path):
        file = tmp_path / "a.safetensors"
        cgcnn().save(str(file))
        assert "--energy-unit is for --to torchmd-net, not for mace" in told(
            "export", file, "--out", tmp_path / "b.model", "--energy-unit", "2"
        )
        assert "--elements is for --to setfl, not for torchmd-net" in told(
            "export", file, "--out", tmp_path / "b.ckpt", "--elements", "Si"
        )
        assert "which is a file; name a folder" in told("export", file, "--to", "matgl", "--out", file)
        assert "which is a folder; name a file in it" in told("export", file, "--to", "mace", "--out", tmp_path)
        assert "it would replace its own input file" in told("export", file, "--to", "mace", "--out", file)
        to = ("export", file, "--to", "mace", "--out", tmp_path / "b", "--precision")
        for precision in ("double-double", "float16"):
            assert "choose float32 or float64" in told(*to, precision)

    def test_without_the_package(self, monkeypatch, tmp_path):
        for name in [m for m in sys.modules if m.split(".")[0] == "matgl"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "matgl", None)
        with pytest.raises(UnavailableError, match=r"pip install 'mlip-keel\[matgl\]'"):
            write_matgl(keel.M3GNet(["Si"], preset="small", mode="reference"), tmp_path / "a")
        assert not list(tmp_path.iterdir())

    def test_a_network_of_other_numbers_is_not_written(self):
        a, b = cgcnn(), cgcnn()
        _compare(a, b, "peers")
        b.set_offsets({8: 1e-3})
        with pytest.raises(ConfigError, match="this CGCNN cannot be written: energies of elements that peers gives"):
            _compare(a, b, "peers")
        b = cgcnn()
        b.scale.fill_(1.001)
        with pytest.raises(ConfigError, match=r"energies that peers gives of it differ by 0\.001"):
            _compare(a, b, "peers")


def test_trials_hold_every_element():
    many = keel.M3GNet(range(1, 90), preset="small")
    assert {int(z) for frame in _trials(many) for z in frame.numbers} == set(range(1, 90))


def test_energies_of_elements_decide_the_precision():
    network = cgcnn()
    for energy, rounded in ((-431.6, True), (-431.5, False), (-3.1, False)):
        network.set_offsets({8: energy})
        assert (rounding(network) > EXACT) == rounded
    network.set_offsets({8: -431.6})
    assert rounding(network) == abs(-431.6 - float(torch.tensor(-431.6)))
    assert rounding(network.double()) == 0


def test_weights_of_m3gnet_go_back_as_they_came(tmp_path):
    folder = matgl_folder(tmp_path / "a")
    network, theirs = from_matgl(folder), torch.load(folder / "state.pt", weights_only=True)
    back = matgl_state(network.state_dict(), len(network.blocks))
    references = theirs["element_refs.property_offset"].tolist()
    order = [references.index(float(network.offsets()[z])) for z in network.elements]
    learned = {k for k in theirs if k.startswith("model.") and k.removeprefix("model.") in back}
    assert learned == {k for k in theirs if k.startswith("model.") and not re.search("basis_expan|bond_expan", k)}
    for name in learned:
        tensor = theirs[name][order] if "layer_node_embedding" in name else theirs[name]
        assert torch.equal(back[name.removeprefix("model.")], tensor), name


class TestCheckpointsOfTorchMDNet:
    def checkpoint(self, path, case, **more):
        reference = stored(case)
        state = {f"model.{name}": tensor for name, tensor in reference.weights.items()}
        torch.save({"hyper_parameters": reference.arguments, "state_dict": {**state, **more}}, path)
        return path

    @pytest.mark.parametrize("case", ["published", "smooth", "gauss", "keys", "lower"])
    def test_weights_and_arguments_go_back_as_they_came(self, case, tmp_path):
        path = self.checkpoint(tmp_path / "a.ckpt", case, **{"model.std": torch.tensor(3.0)})
        network, reference = from_torchmdnet(path, energy_unit=0.5), stored(case)
        assert float(network.scale) == 1.5
        back = to_torchmdnet(network, energy_unit=0.5)
        assert float(back["state_dict"]["model.std"]) == 3.0
        changed = {"max_num_neighbors", "prior_model", "prior_args", "precision"}
        same = {k: v for k, v in back["hyper_parameters"].items() if k in reference.arguments.keys() - changed}
        assert same == {k: v for k, v in reference.arguments.items() if k not in changed}
        # There is no element 0; the last rows make vectors that nobody reads.
        read = {"embedding.weight": slice(1, None), "output_network.1.update_net.layers.2": slice(0, 1)}
        for name, tensor in reference.weights.items():
            found = back["state_dict"][f"model.{name}"]
            rows = next((part for key, part in read.items() if key in name), ...)
            if name not in ("std", "output_model.output_network.1.vec2_proj.weight"):
                assert torch.equal(found[rows], tensor[rows]), name

    def test_elements_that_it_does_not_know(self, tmp_path):
        network = from_torchmdnet(self.checkpoint(tmp_path / "a.ckpt", "smooth"), ["Si", "O"])
        network.set_offsets({8: -4.0, 14: 2.0})
        torch.save(to_torchmdnet(network), tmp_path / "b.ckpt")
        again = from_torchmdnet(tmp_path / "b.ckpt")
        assert again.elements == (8, 14)
        frames = stored("smooth").frames
        assert torch.equal(again(frames).energy, network(frames).energy)
        assert torch.equal(again(frames).forces, network(frames).forces)
        with pytest.raises(DataError, match="it does not know H, C"):
            from_torchmdnet(tmp_path / "b.ckpt", ["C", "O", "H"])

    def test_its_unit_of_energy(self, tmp_path):
        network = from_torchmdnet(self.checkpoint(tmp_path / "a.ckpt", "smooth"), ["Si", "O"])
        network.set_offsets({8: -4.0, 14: 2.0})
        state = to_torchmdnet(network, energy_unit=0.5)["state_dict"]
        assert state["model.prior_model.0.atomref.weight"][[8, 14], 0].tolist() == [-8.0, 4.0]
        assert float(state["model.std"]) == 2.0


class TestHeads:
    def test_which_one_is_meant(self):
        assert _index(["a"], None) == 0
        assert _index(["a", "Default"], None) == 1
        assert _index(["a", "b"], "b") == 1
        with pytest.raises(ConfigError, match=r"heads a, b; choose one with MACE.from_model\(model, head=...\)"):
            _index(["a", "b"], None)

    def test_of_what_has_none(self, tmp_path):
        cgcnn().save(str(tmp_path / "a.safetensors"))
        with pytest.raises(ConfigError, match="arguments belong to a calculator"):
            keel.open_potential(tmp_path / "a.safetensors", {"head": "a"})
        with pytest.raises(ConfigError, match="arguments belong to a calculator"):
            keel.open_potential(tmp_path / "a.model", {"heads": "a"})
        out = ("--out", tmp_path / "b.safetensors", "--head", "a")
        assert "--head is for models of MACE" in told("import", tmp_path / "a.ckpt", *out)
