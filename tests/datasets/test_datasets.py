"""The embedded data are what their card says."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import keel
from keel.atoms.soundness.frames import closest_pair
from keel.atoms.soundness.repeats import repeats
from keel.errors import ConfigError, DataError


def test_phosphorus_is_what_its_card_says() -> None:
    card, frames = keel.datasets.card("phosphorus"), keel.datasets.phosphorus()
    assert len(frames) == sum(card.frames.values()) == 777
    assert {f.info["phase"] for f in frames} == set(card.frames) == set(card.systems)
    assert all(f.energy is not None and f.forces is not None and f.pbc.all() for f in frames)
    assert card.licence == "CC0-1.0"
    assert repeats(frames) == []


@pytest.mark.parametrize("phase", ["black", "liquid-P4"])
def test_each_phase_is_one_run_in_order(phase: str) -> None:
    frames = keel.datasets.phosphorus(phase)
    assert len(frames) == keel.datasets.card("phosphorus").frames[phase]
    assert [f.info["step"] for f in frames] == list(range(len(frames)))
    assert all(1.9 < pair.distance < 2.3 for f in frames if (pair := closest_pair(f)))


@pytest.mark.parametrize("phase", ["black", "liquid-P4"])
def test_energies_follow_the_work_of_the_forces(phase: str) -> None:
    """The integral of F . dx along the run gives the change of energy, to a hundredth of the changes themselves."""
    frames = keel.datasets.phosphorus(phase)
    change = np.diff([f.energy for f in frames])
    work = [-0.5 * np.sum((a.forces + b.forces) * (b.positions - a.positions)) for a, b in zip(frames, frames[1:])]  # noqa: B905, RUF007
    assert np.std(change - work) < 0.01 * np.std(change)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="no data set 'silica' in keel; choose from phosphorus"):
        keel.datasets.card("silica")
    with pytest.raises(ConfigError, match="no phase 'white'; choose black or liquid-P4"):
        keel.datasets.phosphorus("white")


def test_a_file_that_differs_from_its_card_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    card = keel.datasets.card("phosphorus")
    monkeypatch.setattr(keel.datasets, "_load", keel.datasets._load.__wrapped__)
    monkeypatch.setattr(keel.datasets, "card", lambda _: replace(card, atoms=card.atoms + 1))
    with pytest.raises(DataError, match="does not match its card"):
        keel.datasets.phosphorus()


def test_importing_the_data_sets_imports_nothing_heavy() -> None:
    code = "import sys, keel.datasets; print({'torch', 'ase', 'numpy', 'yaml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The example that made the data, run in an empty folder."""
    path = Path(__file__).parents[2] / "examples" / "phosphorus-cp2k" / "generate.py"
    monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location("generate", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    return module


@pytest.mark.parametrize("phase", ["black", "liquid-P4"])
def test_the_generator_starts_where_the_data_start(phase: str, generator: ModuleType) -> None:
    first, start = keel.datasets.phosphorus(phase)[0], generator.START[phase]()
    steps = (start.positions - first.positions) @ np.linalg.inv(first.cell)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-8)
    np.testing.assert_array_equal(start.cell.array, first.cell)


def test_the_generator_reads_what_cp2k_writes(
    generator: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = keel.datasets.phosphorus("black")[:3]
    positions, forces = "", ""
    for f in frames:
        head = f"32\n i = {f.info['step']:8d}, time = {f.info['time_fs']:12.3f}, "
        head += f"E = {f.energy / generator.HARTREE:20.10f}\n"
        scaled = f.forces * generator.BOHR / generator.HARTREE
        positions += head + "".join(f" P {x:20.10f} {y:20.10f} {z:20.10f}\n" for x, y, z in f.positions)
        forces += head + "".join(f" P {x:20.10f} {y:20.10f} {z:20.10f}\n" for x, y, z in scaled)
    Path("black-pos-1.xyz").write_text(positions)
    # A run that was stopped while it wrote.
    Path("black-frc-1.xyz").write_text(forces[: -len(forces) // 4])
    for arguments in ("start black", "input black --steps 3", "collect black --out out.extxyz"):
        monkeypatch.setattr(sys, "argv", ["generate.py", *arguments.split()])
        generator.main()
    assert "STEPS 3" in Path("black.inp").read_text()
    assert "black: 2 frames" in capsys.readouterr().out
    for frame, again in zip(frames, keel.read("out.extxyz"), strict=False):
        assert dict(again.info) == dict(frame.info)
        assert again.energy == pytest.approx(frame.energy, abs=1e-8)
        np.testing.assert_allclose(again.positions, frame.positions, atol=1e-9)
        np.testing.assert_allclose(again.forces, frame.forces, atol=1e-7)
