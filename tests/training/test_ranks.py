"""Data-parallel training: two processes with a part of each batch each do what one does with the whole."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch

import keel
from keel.training import Strategy, TrainingSettings
from waiting import HANG

PRETRAINED = {"pretrain_share": 0.5, "replay_share": 0.3}
TRAININGS = [(4, 2, PRETRAINED), (16, 1, {"sam_rho": 0.05, "base": "zbl"})]
"""Structures in a step, batches of each rank that share them, and the strategy; 16 structures of ten are shared as ten.
"""
PARTS = ("total", "energy", "forces", "stress")
VALIDATED = ("validation", "validation_energy_mae", "validation_force_mae")


def curves(ranks):
    """Loss and parts of each step of each training, what is validated, and the length of all weights that are kept."""
    frames = keel.datasets.phosphorus()[:18]
    for k in (3, 12):
        frames[k] = frames[k].replace(energy=None, stress=None)
        frames[k + 1] = frames[k + 1].replace(forces=None)
    found = []
    for size, accumulate, options in TRAININGS:
        torch.manual_seed(0)
        network = keel.CGCNN(["P"], 3.5, features=8, convolutions=1, gaussians=8, hidden=8)
        count = ranks * accumulate
        sizes = {"batch_size": size // count, "accumulate": accumulate} if ranks > 1 else {"batch_size": size}
        settings = TrainingSettings(
            steps=20, devices=ranks, device="cpu", warmup_steps=5, validate_every=2, patience=3, compile=False, **sizes
        )
        teacher = keel.EAM.from_elements(["P"], 3.5) if "pretrain_share" in options else None
        result = keel.train(
            network, frames[:10], validation=frames[10:], strategy=Strategy(**options), teacher=teacher,
            settings=settings,
        )  # fmt: skip
        found.append([[row[name] for name in PARTS] for row in result.history])
        found.append([[row[name] for name in VALIDATED] for row in result.history if "validation" in row])
        found.append([float(weights.detach().double().norm()) for weights in network.parameters()])
    return found


@pytest.mark.slow
def test_two_ranks_are_one():
    """Also with labels that are missing or a teacher's, in sharpness-aware steps, on top of a base, accumulating.

    Each validates a share of the frames, and both keep the same weights and stop at the same step.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {"WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
    told["PYTHONPATH"] = os.pathsep.join(sys.path)
    processes = [
        subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, **{k: str(v) for k, v in {**told, "RANK": k, "LOCAL_RANK": k}.items()}},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for k in range(2)
    ]
    whole = curves(1)
    for process in processes:
        output, errors = process.communicate(timeout=HANG)
        assert process.returncode == 0, errors
        for found, expected in zip(json.loads(output.splitlines()[-1]), whole, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9)


if __name__ == "__main__":
    print(json.dumps(curves(2)))
