"""Data-parallel training: two processes with a part of each batch each do what one does with the whole."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import torch

import keel
from keel.training import Strategy, TrainingSettings
from waiting import HANG

PRETRAINED = {"pretrain_share": 0.5, "replay_share": 0.3}
SIZES_AND_STRATEGIES = [(2, PRETRAINED), (8, {"sam_rho": 0.05, "base": "zbl"})]
"""16 structures of ten frames are shared as ten."""


def curves(ranks):
    """Loss and parts of each step of each training."""
    frames = keel.datasets.phosphorus()[:10]
    frames[3] = frames[3].replace(energy=None, stress=None)
    frames[4] = frames[4].replace(forces=None)
    found = []
    for size, options in SIZES_AND_STRATEGIES:
        torch.manual_seed(0)
        network = keel.CGCNN(["P"], 3.5, features=8, convolutions=1, gaussians=8, hidden=8)
        settings = TrainingSettings(
            steps=20, batch_size=size * 2 // ranks, devices=ranks, device="cpu", warmup_steps=5, compile=False
        )
        teacher = keel.EAM.from_elements(["P"], 3.5) if "pretrain_share" in options else None
        result = keel.train(network, frames, strategy=Strategy(**options), teacher=teacher, settings=settings)
        found.append([[row[name] for name in ("total", "energy", "forces", "stress")] for row in result.history])
    return found


def test_two_ranks_are_one():
    """Also with labels that are missing or a teacher's, in sharpness-aware steps, and on top of a base."""
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
    whole = np.array(curves(1))
    for process in processes:
        output, errors = process.communicate(timeout=HANG)
        assert process.returncode == 0, errors
        np.testing.assert_allclose(json.loads(output.splitlines()[-1]), whole, rtol=1e-5, atol=1e-9)


if __name__ == "__main__":
    print(json.dumps(curves(2)))
