"""Potentials with numbers that cannot be: refused when they are made and when they are read."""

import json
import math

import pytest
import torch

import keel
from keel.errors import ConfigError, DataError
from small_potentials import cgcnn, eam


@pytest.mark.parametrize("cutoff", [-5.0, 0.0, math.nan, math.inf])
def test_a_cutoff_is_a_positive_length(cutoff):
    for make in (lambda: keel.EAM.from_elements(["Cu"], cutoff=cutoff), lambda: keel.LennardJones(cutoff=cutoff)):
        with pytest.raises(ConfigError, match="the cutoff must be "):
            make()


def test_in_a_file_too(tmp_path):
    eam().save(tmp_path / "eam.json")
    content = json.loads((tmp_path / "eam.json").read_text())
    content["config"]["cutoff"] = -5.0
    (tmp_path / "eam.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"eam\.json: .*the cutoff must be positive, not -5"):
        keel.load(tmp_path / "eam.json")


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    network = cgcnn()
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] = math.nan
    network.save(tmp_path / "net.safetensors")
    with pytest.raises(DataError, match=r"net\.safetensors: its weights are NaN .* in 1 of \d+ arrays, the first \w+"):
        keel.load(tmp_path / "net.safetensors")
