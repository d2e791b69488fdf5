"""Checkpoints of torchmd-net as keel potentials: what is read, and what is refused."""

import os
import pickle
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import keel
from keel.cli import app
from keel.errors import KeelWarning
from keel.potentials.external.torchmdnet_checkpoint import from_torchmdnet
from torchmd_et_reference import stored


def checkpoint(folder: Path, case: str = "smooth", weights=None, **arguments) -> Path:
    """Write a checkpoint as Lightning does; weights that are None are left out."""
    reference = stored(case)
    state = {**reference.weights, **(weights or {})}
    content = {
        "epoch": 3,
        "optimizer_states": [{"state": {0: {"step": torch.tensor(5.0)}}}],
        "hyper_parameters": {**reference.arguments, **arguments},
        "state_dict": {f"model.{name}": value for name, value in state.items() if value is not None},
    }
    torch.save(content, folder / "epoch=3.ckpt")
    return folder / "epoch=3.ckpt"


def prediction(net: keel.TorchMDET, case: str = "smooth") -> keel.Prediction:
    return net(keel.batch(stored(case).frames, net.cutoff, dtype=torch.float64))


class TestRead:
    def test_energies_of_the_checkpoint(self, tmp_path):
        net, reference = from_torchmdnet(checkpoint(tmp_path)), stored("smooth")
        assert net.elements == tuple(range(1, 16))
        assert net.mode == "reference" and not net.training
        assert prediction(net).energy.tolist() == pytest.approx(reference.energies, rel=1e-9)

    def test_some_elements(self, tmp_path):
        path = checkpoint(tmp_path)
        some = from_torchmdnet(path, ["Si", 8])
        assert some.elements == (8, 14)
        assert torch.equal(prediction(some).forces, prediction(from_torchmdnet(path)).forces)

    def test_becomes_a_keel_file(self, tmp_path):
        net = from_torchmdnet(checkpoint(tmp_path), ["Si", "O"])
        net.save(str(tmp_path / "net.safetensors"))
        assert torch.equal(prediction(keel.load(tmp_path / "net.safetensors")).energy, prediction(net).energy)

    def test_command(self, tmp_path):
        out, path = tmp_path / "net.safetensors", checkpoint(tmp_path)
        options = ["--out", str(out), "--elements", "Si, O", "--energy-unit", "2"]
        done = CliRunner().invoke(app, ["import", str(path), *options])
        assert done.exit_code == 0, done.output
        assert "TorchMDET of 2 elements" in done.output
        expected = [2 * e for e in stored("smooth").energies]
        assert prediction(keel.load(out)).energy.tolist() == pytest.approx(expected, rel=1e-9)

    @pytest.mark.parametrize(
        "how",
        [
            {"prior_model": "Atomref", "prior_args": {"max_z": 16}},
            {"prior_model": [{"Atomref": {"max_z": 16}}], "prior_args": None},
            {"prior_model": ["LearnableAtomref"], "prior_args": [{"max_z": 16}]},
        ],
        ids=["name", "dictionary", "list"],
    )
    @pytest.mark.parametrize("index", ["0.", ""], ids=["now", "older"])
    def test_atomic_energies_spread_and_unit(self, tmp_path, how, index):
        atomref = torch.arange(16.0)[:, None]
        weights = {f"prior_model.{index}atomref.weight": atomref, f"prior_model.{index}initial_atomref": 0 * atomref}
        path = checkpoint(tmp_path, weights={**weights, "std": torch.tensor(3.0)}, **how)
        net = from_torchmdnet(path, energy_unit=0.5)
        own = [float(atomref[f.numbers].sum()) for f in stored("smooth").frames]
        expected = [0.5 * (3 * e + z) for e, z in zip(stored("smooth").energies, own, strict=True)]
        assert prediction(net).energy.tolist() == pytest.approx(expected, rel=1e-9)

    def test_a_prior_that_is_switched_off(self, tmp_path):
        atomref = {
            "prior_model.0.atomref.weight": torch.ones(16, 1),
            "prior_model.0.initial_atomref": torch.ones(16, 1),
        }
        settings = {"prior_model": "Atomref", "prior_args": {"max_z": 16, "enable": False}}
        assert not from_torchmdnet(checkpoint(tmp_path, weights=atomref, **settings)).offsets().any()

    def test_a_mean_is_left_out_with_a_warning(self, tmp_path):
        path = checkpoint(tmp_path, weights={"mean": torch.tensor(-50.0)})
        with pytest.warns(KeelWarning, match="-50 eV"):
            net = from_torchmdnet(path)
        assert prediction(net).energy.tolist() == pytest.approx(stored("smooth").energies, rel=1e-9)

    @pytest.mark.parametrize("case", ["smooth", "scalar"])
    def test_older_names(self, tmp_path, case):
        old = {}
        for name, value in stored(case).weights.items():
            older = re.sub(r"(update_net|output_network)\.layers\.", r"\1.", name)
            old |= {name: None, older: value} if older != name else {}
        assert old
        net = from_torchmdnet(checkpoint(tmp_path, case, {**old, "representation_model.distance.box": None}))
        assert prediction(net, case).energy.tolist() == pytest.approx(stored(case).energies, rel=1e-9)


@pytest.mark.oracle
def test_what_torchmd_net_saves(tmp_path):
    """A checkpoint of its training module, written by Lightning, with atomic energies and a spread."""
    if os.environ.get("CI") != "true":
        pytest.importorskip("torchmdnet")
    import lightning
    from torchmdnet.module import LNNP
    from torchmdnet.priors import Atomref

    reference = stored("smooth")
    prior = Atomref(max_z=16)
    prior.initial_atomref[:] = torch.arange(16.0)[:, None]
    of_training = {
        "load_model": None,
        "remove_ref_energy": False,
        "prior_model": "Atomref",
        "prior_args": {"max_z": 16},
    }
    of_training |= {"lr": 1e-3, "weight_decay": 0.0, "lr_factor": 0.5, "lr_patience": 1, "lr_min": 0.0}
    module = LNNP({**reference.arguments, **of_training}, prior_model=[prior], std=torch.tensor(2.5))
    trainer = lightning.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", max_steps=1)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "trained.ckpt")
    net = from_torchmdnet(tmp_path / "trained.ckpt")
    molecule = reference.frames[1]
    energy, forces = module.model(torch.tensor(molecule.numbers), torch.tensor(molecule.positions))
    ours = net(keel.batch(molecule, net.cutoff, dtype=torch.float64))
    assert float(ours.energy[0]) == pytest.approx(float(energy.detach()), rel=1e-9)
    assert torch.allclose(ours.forces, forces, rtol=0, atol=1e-9)


class Foreign:
    """An object that is not plain data."""


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"model": "tensornet2"}, "its model is 'tensornet2'; only 'equivariant-transformer' and 'tensornet'"),
            ({"model": "tensornet", "reduce_op": "mean"}, "its reduce_op is 'mean'; only 'add' and 'sum'"),
            ({"output_model": "DipoleMoment"}, "its output_model is 'DipoleMoment'"),
            ({"reduce_op": "mean"}, "its reduce_op is 'mean'"),
            ({"prior_model": "ZBL"}, "its prior model 'ZBL' cannot be read"),
            ({"prior_model": "Atomref"}, "no weights 'prior_model.0.atomref.weight'"),
            ({"activation": "relu"}, "activation must be one of"),
            ({"num_heads": 3}, "must divide"),
            ({"num_layers": 1}, "weights that an equivariant transformer does not have"),
            ({"num_layers": 4}, "no weights 'representation_model.attention_layers.3"),
            ({"num_rbf": 7}, "do not fit its arguments"),
            ({"num_rbf": "many"}, "num_rbf must be a whole number, not 'many'"),
        ],
        ids=lambda x: str(x) if isinstance(x, dict) else "",
    )
    def test_what_is_no_such_network(self, tmp_path, arguments, message):
        with pytest.raises(keel.DataError, match=message) as error:
            from_torchmdnet(checkpoint(tmp_path, **arguments))
        assert "epoch=3.ckpt" in str(error.value)

    def test_elements_that_it_does_not_have(self, tmp_path):
        with pytest.raises(keel.DataError, match="atomic numbers up to 15, not 79"):
            from_torchmdnet(checkpoint(tmp_path), ["Au"])

    def test_a_setting_that_is_missing(self, tmp_path):
        path = checkpoint(tmp_path)
        content = torch.load(path, weights_only=True)
        del content["hyper_parameters"]["cutoff_upper"]
        torch.save(content, path)
        with pytest.raises(keel.DataError, match="it has no 'cutoff_upper'"):
            from_torchmdnet(path)

    def test_nothing_foreign_is_unpickled(self, tmp_path):
        path = tmp_path / "foreign.ckpt"
        torch.save({"state_dict": {}, "hyper_parameters": Foreign()}, path)
        with pytest.raises(keel.DataError, match="Foreign, which may run code; it is not read"):
            from_torchmdnet(path)

    @pytest.mark.parametrize(
        "content",
        [b"", b"text", pickle.dumps([1, 2]), pickle.dumps({"state_dict": 1})],
        ids=["empty", "text", "list", "other"],
    )
    def test_other_files(self, tmp_path, content):
        path = tmp_path / "other.ckpt"
        path.write_bytes(content)
        with pytest.raises(keel.DataError, match=r"other\.ckpt"):
            from_torchmdnet(path)

    def test_half_a_file(self, tmp_path):
        path = checkpoint(tmp_path)
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(keel.DataError, match="damaged"):
            from_torchmdnet(path)

    def test_no_file(self, tmp_path):
        with pytest.raises(keel.DataError, match="there is no such file"):
            from_torchmdnet(tmp_path / "absent.ckpt")
