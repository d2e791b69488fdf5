"""A run folder as `keel run` leaves it, with made-up numbers of realistic shape."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from ase.spacegroup import crystal

Array = np.ndarray
STRATEGIES = ("vanilla", "sam", "pretrain")


@dataclass(frozen=True)
class System:
    name: str
    elements: tuple[str, ...]
    atoms: Atoms
    stress: bool
    dft_md: bool = True
    """Whether its DFT frames are of MD, so that g(r) can be compared."""


def phosphorus() -> System:
    """Eight P4 tetrahedra in a cubic box."""
    rng = np.random.default_rng(4)
    corners = 0.78 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=float)
    centres = 2.9 + 5.8 * np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)
    turns = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in centres]
    positions = np.concatenate([centre + corners @ turn for centre, turn in zip(centres, turns, strict=True)])
    return System("phosphorus", ("P",), Atoms("P32", positions=positions, cell=[11.6] * 3, pbc=True), stress=False)


def silica() -> System:
    """Alpha-quartz, 2 x 2 x 2."""
    atoms = crystal(
        ["Si", "O"],
        [(0.4697, 0, 2 / 3), (0.4135, 0.2669, 0.7858)],
        spacegroup=154,
        cellpar=[4.916, 4.916, 5.405, 90, 90, 120],
    )
    return System("silica", ("O", "Si"), atoms.repeat(2), stress=True)


@dataclass(frozen=True)
class Scenario:
    """Which runs fail, as (times, causes) for each strategy; every other run lives until ``length``."""

    failures: dict[str, Sequence[tuple[float, str]]]
    force_mae: dict[str, float]
    runs: int = 8
    length: float = 3000.0
    temperature: float = 3000.0


FUSED = "fused atoms"
HELPS = Scenario(
    failures={
        "vanilla": [(150, FUSED), (190, FUSED), (225, "force"), (241, FUSED), (260, "temperature"), (410, FUSED),
                    (700, "non-finite")],
        "sam": [(210, FUSED), (350, "force"), (480, FUSED), (900, FUSED), (1500, "temperature")],
        "pretrain": [],
    },
    force_mae={"vanilla": 78.0, "sam": 76.0, "pretrain": 81.0},
)  # fmt: skip


def build_run_folder(
    folder: Path,
    system: System | None = None,
    scenario: Scenario = HELPS,
    seeds: int = 2,
    networks: Sequence[str] = ("CGCNN",),
    without: Iterable[str] = (),
    name: str | None = None,
    train_frames: int = 40,
) -> Path:
    """Write a run folder; ``without`` names stages that did not run."""
    system = system or phosphorus()
    without, name = set(without), name or system.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(
        f"name: {json.dumps(name)}\nnetworks:\n"
        + "- {architecture: CGCNN, cutoff: 5.0}\n" * len(networks)
        + f"strategies: {json.dumps(list(scenario.force_mae))}\nseeds: {list(range(seeds))}\n"
    )
    write_json(
        folder / "versions.json",
        {"keel": "0.1.0", "python": "3.11.2", "torch": "2.13.0", "platform": "Linux", "cores": 2},
    )
    cells, records = [], []
    for network in networks:
        for strategy in scenario.force_mae:
            for seed in range(seeds):
                record = summary_record(name, network, strategy, seed, scenario, system)
                record["train_frames"] = train_frames
                if "stability" in without:
                    record |= {"time_to_failure_fs": [], "failure_cause": []}
                records.append(record)
                cells.append({"network": network, "strategy": strategy, "seed": seed})
                for stage in ("train", "accuracy", "stability", "rdf", "dimers", "squeeze"):
                    path = (
                        folder
                        / "stages"
                        / stage
                        / f"{network}-{strategy.replace('/', '-')}-{seed}".replace("<", "")[:60]
                    )
                    cells[-1][stage] = None if stage in without else str(path.relative_to(folder))
                    if stage not in without:
                        path.mkdir(parents=True, exist_ok=True)
                        globals()[f"write_{stage}"](path, system, strategy, seed, record)
    index: dict[str, Any] = {
        "name": name,
        "description": "Made-up numbers of realistic shape.",
        "cells": cells,
        "rungs": {},
    }
    if "data" not in without:
        index["data"] = write_data(folder / "stages" / "data", system)
    if "teacher" not in without:
        index["teacher"] = write_teacher(folder / "stages" / "teacher", system)
    if not {"teacher", "squeeze"} & without:
        write_squeeze(folder / "stages" / "squeeze" / "teacher", system, "pretrain", 0, {})
        index["teacher_squeeze"] = "stages/squeeze/teacher"
    for network in networks:
        path = folder / "stages" / "rung" / network
        shares = {"1000": 0.0, "2000": 0.25, "3000": 0.75}
        rung = {"temperature_k": scenario.temperature, "length_fs": scenario.length, "reached": True,
                "median_fs": 241.0, "ladder_k": [1000, 2000, 3000], "failing_share": shares}  # fmt: skip
        write_json(path / "rung.json", rung)
        index["rungs"][network] = str(path.relative_to(folder))
    write_json(folder / "results.json", index)
    write_json(folder / "summary.json", records)
    return folder


def summary_record(
    name: str, network: str, strategy: str, seed: int, scenario: Scenario, system: System
) -> dict[str, Any]:
    failures = [(round(time * (1 + 0.07 * seed)), cause) for time, cause in scenario.failures.get(strategy, [])]
    alive = scenario.runs - len(failures)
    share = 0.1 if strategy.startswith("pretrain") else 0.0
    return {
        "system": name,
        "network": network,
        "strategy": strategy,
        "seed": seed,
        "train_frames": 40,
        "pretrain_steps": round(1000 * share),
        "train_steps": round(1000 * (1 - share)),
        "energy_mae_mev_per_atom": 3.1 + 0.2 * seed,
        "force_mae_mev_per_angstrom": scenario.force_mae[strategy] + 1.7 * seed,
        "stress_mae_mev_per_cubic_angstrom": 1.9 if system.stress else None,
        "gradient_evaluations": 2000 if strategy == "sam" else 1000,
        "md_temperature_k": scenario.temperature,
        "md_timestep_fs": 1.0,
        "md_friction_per_fs": 0.01,
        "md_length_fs": scenario.length,
        "time_to_failure_fs": [time for time, _ in failures] + [scenario.length] * alive,
        "failure_cause": [cause for _, cause in failures] + [None] * alive,
        "wall_seconds": 95.2 * (1.9 if strategy == "sam" else 1.0),
        "cell_seconds": 200.0,
        "peak_memory_mb": 812.0,
    }


def write_data(folder: Path, system: System) -> str:
    numbers = system.atoms.get_chemical_symbols()
    ranges = {
        "energy_per_atom": ("eV", -179.2, -178.9, -178.4),
        "largest_force": ("eV/angstrom", 0.9, 2.4, 7.7),
        "nearest_distance": ("angstrom", 1.43, 1.52, 1.61),
    }
    census = {
        "frames": 777,
        "atoms": 777 * len(numbers),
        "elements": {e: 777 * numbers.count(e) for e in system.elements},
        "compositions": 1,
        "periodic": {"3": 777},
        "labels": {"energy": 777, "forces": 777, "stress": 777 if system.stress else 0},
        "ranges": {
            n: {"unit": u, "minimum": a, "median": b, "maximum": c, "minimum_at": "frame 3", "maximum_at": "frame 9"}
            for n, (u, a, b, c) in ranges.items()
        },
        "groups": {"phase": 2},
        "stress": {"frames": 0, "verdict": "there is no stress to check"},
        "findings": [
            {"level": "warn", "message": "2 frames with an energy far outside the rest of the composition (frame 12)"},
            {"level": "note", "message": "1 frame repeating another exactly, such as data.extxyz, frame 4"},
        ],
        "set_aside": [],
    }  # fmt: skip
    write_json(folder / "census.json", census)
    write_json(folder / "split.json", {"train": 40, "validation": 8, "test": 200, "by": "start", "sources": {}})
    return str(Path("stages") / "data")


def pairs_of(system: System) -> list[tuple[str, float]]:
    """Names of the pairs of elements and their bond lengths."""
    e = system.elements
    pairs = [(a, b) for i, a in enumerate(e) for b in e[i:]]
    return [(f"{a}-{b}", float(covalent_radii[[atomic_numbers[a], atomic_numbers[b]]].sum())) for a, b in pairs]


def morse(r: Array, length: float, depth: float = 2.0, alpha: float = 1.8) -> Array:
    switch = np.where(r < 8.0, (1 - (r / 8.0) ** 4) ** 2, 0.0)
    return depth * ((1 - np.exp(-alpha * (r - length))) ** 2 - 1) * switch


def write_teacher(folder: Path, system: System) -> str:
    r = np.linspace(0.1, 8.0, 200)
    rows: list[Sequence[object]] = []
    for pair, length in pairs_of(system):
        density = np.exp(-1.6 * (r - length)) * (1 - (r / 8) ** 4) ** 2
        embedding = -1.2 * (np.sqrt(density + 0.01) - 0.1)
        core = 14.4 * 100 / r * np.exp(-r / 0.22)
        pair_energy = morse(r, length)
        rows += zip(
            [pair] * len(r), r, pair_energy + embedding + core, pair_energy, embedding, density, core, strict=True
        )
    write_csv(folder / "decomposition.csv", ("pair", "r", "total", "morse", "embedding", "density", "core"), rows)
    errors = {
        "frames": 40,
        "energy_mae_mev_per_atom": 12.0,
        "force_mae_mev_per_angstrom": 340.0,
        "energy_rmse_mev_per_atom": 16.0,
    }
    fit = {"train": errors, "test": errors | {"force_mae_mev_per_angstrom": 352.0}, "seconds": 4.1,
           "warnings": ["the composition never varies, so atomic energies cannot be told apart"],
           "pairs_without_data": []}  # fmt: skip
    write_json(folder / "fit.json", fit)
    return str(Path("stages") / "teacher")


def write_train(folder: Path, system: System, strategy: str, seed: int, record: dict[str, Any]) -> None:
    rng = np.random.default_rng(seed)
    rows: list[Sequence[object]] = []
    for stage, steps, floor in (("pretrain", record["pretrain_steps"], 0.8), ("train", record["train_steps"], 0.09)):
        for step in range(1, steps + 1):
            loss = (floor + 2.0 * np.exp(-step / 90)) * np.exp(0.2 * rng.normal())
            seen = step % 50 == 0 or step == steps
            validation = (
                (floor + 2.1 * np.exp(-step / 90), 0.01, 0.9 * (0.09 + np.exp(-step / 150))) if seen else ("",) * 3
            )
            rows.append((stage, step, 1e-3, loss, loss / 3, loss / 3, 0.0, *validation))
    header = ("stage", "step", "learning_rate", "total", "energy", "forces", "stress", "validation",
              "validation_energy_mae", "validation_force_mae")  # fmt: skip
    write_csv(folder / "metrics.csv", header, rows)
    write_json(
        folder / "training.json", {"pretrain_steps": record["pretrain_steps"], "train_steps": record["train_steps"]}
    )


def write_accuracy(folder: Path, system: System, strategy: str, seed: int, record: dict[str, Any]) -> None:
    rng = np.random.default_rng(10 + seed)
    rows: list[Sequence[object]] = []
    scales = [("energy", -179.0, 0.05, 0.003), ("forces", 0.0, 1.0, 0.09)] + (
        [("stress", 0.0, 0.02, 0.002)] if system.stress else []
    )
    for quantity, centre, width, error in scales:
        reference = centre + width * rng.normal(size=200 if quantity == "energy" else 1200)
        rows += zip(
            [quantity] * len(reference), reference, reference + error * rng.normal(size=len(reference)), strict=True
        )
    write_csv(folder / "parity.csv", ("quantity", "reference", "prediction"), rows)
    by_element = dict.fromkeys(system.elements, record["force_mae_mev_per_angstrom"])
    errors = {
        "force_mae_mev_per_angstrom": record["force_mae_mev_per_angstrom"],
        "force_mae_mev_per_angstrom_by_element": by_element,
    }
    write_json(folder / "accuracy.json", errors)


def write_stability(folder: Path, system: System, strategy: str, seed: int, record: dict[str, Any]) -> None:
    images = []
    for run, (time, cause) in enumerate(zip(record["time_to_failure_fs"], record["failure_cause"], strict=True)):
        if cause is not None:
            atoms = broken(system.atoms, np.random.default_rng(100 * seed + run))
            atoms.info = {
                "run": run,
                "time_fs": float(time),
                "cause": cause,
                "start": f"data.extxyz, frame {40 + run}",
            }
            images.append(atoms)
    ase.io.write(folder / "failures.extxyz", images, format="extxyz") if images else (
        folder / "failures.extxyz"
    ).write_text("")
    sources = [f"data.extxyz, frame {40 + run}" for run in range(len(record["failure_cause"]))]
    content = {k: v for k, v in record.items() if k.startswith(("md_", "time_", "failure_"))}
    write_json(folder / "stability.json", content | {"sources": sources})


def broken(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """Hot atoms, of which one has run into a neighbour."""
    atoms = atoms.copy()
    atoms.positions += 0.12 * rng.normal(size=atoms.positions.shape)
    victim = int(rng.integers(len(atoms)))
    distances = atoms.get_distances(victim, range(len(atoms)), mic=True)
    partner = int(np.argsort(distances)[1])
    vector = atoms.get_distance(victim, partner, mic=True, vector=True)
    atoms.positions[partner] = atoms.positions[victim] + 0.35 * vector
    atoms.wrap()
    return atoms


def write_rdf(folder: Path, system: System, strategy: str, seed: int, record: dict[str, Any]) -> None:
    r = np.linspace(0.02, 6.0, 150)
    width = {"vanilla": 0.2, "sam": 0.17}.get(strategy, 0.14) + 0.01 * seed
    rows: list[Sequence[object]] = []
    errors = {}
    for pair, length in pairs_of(system):

        def g(w: float, length: float = length) -> Array:
            shells = 6 * np.exp(-0.5 * ((r - length) / w) ** 2) + 1.2 * np.exp(
                -0.5 * ((r - 1.65 * length) / (2 * w)) ** 2
            )
            return shells + 0.5 * (1 + np.tanh((r - 1.5 * length) / 0.5)) * (r > 1.2)

        reference = g(0.13) if system.dft_md else np.full(len(r), np.nan)
        rows += zip([pair] * len(r), r, reference, g(width), strict=True)
        errors[pair] = {"fu": 4 * (width - 0.13), "percent": 90 * (width - 0.13)}
    write_csv(folder / "rdf.csv", ("pair", "r", "reference", "simulation"), rows)
    floor = {pair: {"fu": 0.05, "percent": 1.25} for pair in errors}
    content = {"errors": errors, "floor": floor} if system.dft_md else {"errors": {}, "floor": {}}
    write_json(folder / "rdf.json", {"temperature_k": 800.0, "failed_runs": 2, **content})


def write_dimers(folder: Path, system: System, strategy: str, seed: int, record: dict[str, Any]) -> None:
    r = np.linspace(0.1, 8.0, 300)
    rows: list[Sequence[object]] = []
    metrics = {}
    for pair, length in pairs_of(system):
        energy = 1.3 * morse(r, length)
        if strategy != "pretrain":
            hole = 18.0 if strategy == "vanilla" else 6.0
            energy = np.where(r < 0.7 * length, 6.0, energy) - hole * np.exp(
                -0.5 * ((r - 0.35 * length + 0.05 * seed) / 0.22) ** 2
            )
        force = -np.gradient(energy, r)
        rows += zip([pair] * len(r), r, energy, force, strict=True)
        sound = strategy == "pretrain"
        metrics[pair] = {"tortuosity": 1.0 if sound else 1.9, "force_flips": 1.0 if sound else 3.0,
                         "energy_jump_ev": 0.0, "wall_position_angstrom": 0.9 if sound else None}  # fmt: skip
    write_csv(folder / "dimers.csv", ("pair", "r", "energy", "force"), rows)
    write_json(folder / "dimers.json", metrics)


def write_squeeze(folder: Path, system: System, strategy: str, seed: int, record: dict[str, Any]) -> None:
    """Two crystals; with vanilla training the denser one caves in."""
    length = np.linspace(1.0, 0.4 ** (1 / 3), 28)
    rows: list[Sequence[object]] = []
    told = []
    for volume, stiffness in ((18.9, 0.4), (31.5, 0.1)):
        name = f"{system.elements[0]}32 at {volume} angstrom^3/atom"
        pressure = stiffness * (length**-12 - 1.0)
        if strategy == "vanilla" and volume < 20:
            pressure -= 9.0 * np.exp(-0.5 * ((length - 0.8 + 0.02 * seed) / 0.04) ** 2)
        rows += zip([name] * 28, length, volume * length**3, 0.1 / length, pressure, strict=True)
        told.append({"name": name, "source": "data.extxyz, frame 40"})
    write_csv(folder / "squeeze.csv", ("crystal", "length", "volume", "energy", "pressure"), rows)
    write_json(folder / "squeeze.json", {"crystals": told})


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([f"{value:.6g}" if isinstance(value, float) else value for value in row] for row in rows)
