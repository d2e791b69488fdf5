"""CGCNN of keel against the same network made of PyTorch Geometric's CGConv: training step and MD step.

    pip install torch-geometric
    OMP_NUM_THREADS=1 python benchmarks/cgcnn_vs_pyg.py ../shared/data/silica/zeolites-pbe-d3.extxyz --out result.json

Both have 100 features, 4 convolutions, 50 Gaussians and no batch norm, and run eager, in float32, on one thread, with
denormal numbers flushed. Training: 4 frames of 108 atoms, loss of energy, forces and stress. MD: one of these frames,
energy, forces and stress, ASE's Langevin thermostat for both. The repeats alternate; a ratio is taken pair by pair.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.langevin import Langevin
from torch import Tensor, nn
from torch_geometric.nn import CGConv

import keel
from keel.atoms.frame import Frame
from keel.atoms.graph import AtomGraph
from keel.dynamics import simulate

CUTOFF, FEATURES, CONVOLUTIONS, GAUSSIANS, HIDDEN = 5.0, 100, 4, 50, 128


class PeerNetwork(nn.Module):
    """CGCNN as one writes it with CGConv."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, FEATURES)
        self.convolutions = nn.ModuleList([CGConv(FEATURES, GAUSSIANS, aggr="add") for _ in range(CONVOLUTIONS)])
        self.register_buffer("centres", torch.linspace(0, CUTOFF, GAUSSIANS))
        self.exponent = -0.5 / (CUTOFF / (GAUSSIANS - 1)) ** 2
        self.readout = nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, 1))

    def forward(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        e = torch.exp(self.exponent * (vectors.norm(dim=-1)[:, None] - self.centres) ** 2)
        x = self.embedding(graph.numbers)
        for convolution in self.convolutions:
            x = convolution(x, graph.edge_index.flip(0), e)
        return torch.zeros(graph.n_structures).index_add(0, graph.batch, self.readout(x)[:, 0])


def peer_predict(network: PeerNetwork, graph: AtomGraph, train: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Energy, forces and stress by differentiation with respect to positions and a strain, as is usual."""
    positions = graph.positions.detach().requires_grad_()
    strain = torch.zeros(graph.n_structures, 3, 3, requires_grad=True)
    deformation = torch.eye(3) + 0.5 * (strain + strain.transpose(1, 2))
    x = torch.einsum("ni,nij->nj", positions, deformation[graph.batch])
    cell = graph.cell @ deformation
    i, j = graph.edge_index
    vectors = x[j] - x[i] + torch.einsum("ei,eij->ej", graph.edge_shift, cell[graph.batch[i]])
    energy = network(graph, vectors)
    minus_forces, virial = torch.autograd.grad(energy.sum(), [positions, strain], create_graph=train)
    return energy, -minus_forces, virial / graph.volume[:, None, None]


def training_step(
    predict: Callable[[], tuple[Tensor, Tensor, Tensor]], network: nn.Module, graph: AtomGraph
) -> Callable[[], None]:
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)
    labels = graph.labels

    def step() -> None:
        optimizer.zero_grad()
        energy, forces, stress = predict()
        loss = ((energy - labels.energy) / 108).square().mean() + (forces - labels.forces).square().mean()
        (loss + stress.square().mean()).backward()
        optimizer.step()

    return step


class PeerCalculator(Calculator):
    """ASE calculator of the peer; neighbour list by vesin, as keel's."""

    implemented_properties = ["energy", "forces", "stress"]

    def __init__(self, network: PeerNetwork) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        frame = Frame(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
        graph = keel.batch(frame, CUTOFF, dtype=torch.float32)
        energy, forces, stress = peer_predict(self.network, graph, train=False)
        self.results = {
            "energy": float(energy.detach()),
            "forces": forces.detach().double().numpy(),
            "stress": stress[0].detach().double().numpy()[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
        }


def langevin(atoms: Atoms, calculator: Calculator) -> Callable[[], None]:
    atoms = atoms.copy()
    atoms.calc = calculator
    dynamics = Langevin(
        atoms, 0.1 * units.fs, temperature_K=300, friction=0.01 / units.fs, rng=np.random.default_rng(0)
    )
    return lambda: dynamics.run(5)


def interleaved(first: Callable[[], object], second: Callable[[], object], repeats: int) -> dict[str, Any]:
    """Process time of both in turn, in ms, and the ratio second / first of each pair."""
    times: list[list[float]] = [[], []]
    for _ in range(repeats + 2):
        for run, kept in zip((first, second), times, strict=True):
            start = time.process_time()
            run()
            kept.append(1e3 * (time.process_time() - start))
    a, b = (np.array(t[2:]) for t in times)
    ratio = np.sort(b / a)
    return {
        "peer_ms": round(float(np.median(a)), 2),
        "keel_ms": round(float(np.median(b)), 2),
        "ratio_median": round(float(np.median(ratio)), 3),
        "ratio_quartiles": [round(float(q), 3) for q in np.quantile(ratio, [0.25, 0.75])],
        "repeats": repeats,
    }


def supercells(path: Path, n: int) -> list[Frame]:
    """Frames of sodalite (36 atoms) repeated 3 x 1 x 1, labels with them."""
    frames = [f for f in keel.read(path) if f.info.get("topology") == "sod"][:: 200 // n][:n]
    cells = []
    for frame in frames:
        atoms = frame.to_ase()
        forces = np.tile(frame.forces, (3, 1))
        big = atoms.repeat((3, 1, 1))
        cells.append(Frame(big.numbers, big.positions, big.cell.array, big.pbc, energy=3 * frame.energy, forces=forces))
    return cells


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="zeolites-pbe-d3.extxyz")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    frames = supercells(options.data, 4)
    graph = keel.batch(frames, CUTOFF, dtype=torch.float32)
    results: dict[str, Any] = {"atoms": graph.n_atoms, "edges": graph.n_edges}
    for mode in ("smooth", "reference"):
        peer = PeerNetwork()
        sizes = {"features": FEATURES, "convolutions": CONVOLUTIONS, "gaussians": GAUSSIANS, "hidden": HIDDEN}
        network = keel.CGCNN(["Si", "O"], CUTOFF, **sizes, mode=mode)

        def keel_predict(network: keel.CGCNN = network) -> tuple[Tensor, Tensor, Tensor]:
            prediction = network(graph, differentiable=True)
            return prediction.energy, prediction.forces, prediction.stress

        train = interleaved(
            training_step(lambda peer=peer: peer_predict(peer, graph, train=True), peer, graph),
            training_step(keel_predict, network, graph),
            options.repeats,
        )
        # Small forces: an untrained network must not blow the simulation up.
        network.scale.fill_(0.01)
        atoms = frames[0].to_ase()
        md = interleaved(
            langevin(atoms, PeerCalculator(peer)), langevin(atoms, keel.KeelCalculator(network)), options.repeats
        )
        engine = interleaved(
            langevin(atoms, PeerCalculator(peer)),
            lambda network=network: simulate(network, frames[:1], temperature=300, steps=5, timestep=0.1, criteria=()),
            options.repeats,
        )
        results[mode] = {"training_step": train, "five_md_steps_in_ase": md, "five_md_steps_in_keel": engine}
        print(mode, json.dumps(results[mode], indent=1))
    results["versions"] = {p: version(p) for p in ("torch", "torch-geometric", "vesin", "ase")} | {
        "keel": keel.__version__,
        "python": platform.python_version(),
        "machine": platform.platform(),
    }
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
