"""Potential files: what was written is read; what is damaged is refused in one sentence."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

import pytest
import torch
from ase import Atoms
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import keel
from keel.cli import main
from keel.errors import DataError
from keel.files import replace_file, sentence
from keel.potentials.base import Potential
from keel.potentials.convert import converted
from keel.potentials.saving import FORMAT
from small_potentials import cgcnn, eam
from tiny_run import FEW

FIXED = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


def refused(path: Path) -> str:
    """Return the sentence with which a file is refused; it names the file."""
    with pytest.raises(DataError) as error:
        keel.load(path)
    sentence = str(error.value)
    assert sentence.startswith(str(path))
    assert "\n" not in sentence
    return sentence


def edited(tmp_path: Path, **changes: object) -> Path:
    path = tmp_path / "edited.json"
    eam().save(str(path))
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def test_offsets_and_dtype_come_back(tmp_path: Path) -> None:
    for potential in (cgcnn().double(), cgcnn(), eam(), eam().float()):
        potential.set_offsets({8: -0.1, 14: 1e5 + 1e-9})
        potential.save(str(tmp_path / "p.safetensors"))
        again = keel.load(tmp_path / "p.safetensors")
        assert again.dtype == potential.dtype
        assert torch.equal(again.energy_offsets, potential.energy_offsets)
        assert not again.training


def test_json_is_readable_and_editable(tmp_path: Path) -> None:
    path = edited(tmp_path, energy_offsets={"8": -1.5})
    content = json.loads(path.read_text())
    assert content["keel_format"] == FORMAT.number
    assert content["config"]["pairs"]["O-Si"]["alpha"] == 1.6
    assert float(keel.load(path).energy_offsets[8]) == -1.5


def sums() -> dict[str, Potential]:
    def zbl() -> Potential:
        return keel.ZBL(elements=["O", "Si"])

    inner = keel.SumPotential([cgcnn().double(), eam().float()])
    return {
        "a core in float64 on a network in float32": keel.SumPotential([zbl(), cgcnn()]),
        "a core in float32 on a network in float64": keel.SumPotential([cgcnn().double(), zbl().float()]),
        "a core alone in float32": zbl().float(),
        "closed forms of two precisions": keel.SumPotential([eam(), zbl().float(), keel.LennardJones().float()]),
        "a sum in a sum": keel.SumPotential([keel.LennardJones(), inner, zbl().float()]),
    }


@pytest.mark.parametrize("name", sums())
def test_each_part_keeps_its_precision(tmp_path: Path, name: str) -> None:
    potential = sums()[name]
    close = Atoms("SiO2", [[0, 0, 0], [0.7, 0.3, 0.1], [1.4, -0.8, 0.3]])
    graph = keel.batch(close, cutoff=potential.cutoff, dtype=potential.dtype)
    before = potential(graph)
    for suffix in (".safetensors", ".json")[: 1 + potential.closed_form]:
        potential.save(str(tmp_path / f"p{suffix}"))
        again = keel.load(tmp_path / f"p{suffix}")
        after = again(graph)
        assert again.precisions() == potential.precisions()
        assert torch.equal(before.energy, after.energy) and torch.equal(before.forces, after.forces)


def test_wrong_suffixes_are_refused(tmp_path: Path) -> None:
    for name in ("potential", "potential.pt", "potential.pkl", "potential.JSON.txt"):
        with pytest.raises(DataError, match=r"suffix \.safetensors or \.json"):
            eam().save(str(tmp_path / name))
    with pytest.raises(DataError, match=r"a CGCNN has weights; save it with the suffix \.safetensors"):
        cgcnn().save(str(tmp_path / "network.json"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a keel potential"),
        (b"not json", "not a keel potential"),
        (b"\xff\xfe\x00", "not a keel potential"),
        (b"[]", "not a keel potential"),
        (b"{}", "not a keel potential"),
        (b"null", "not a keel potential"),
        (b'{"keel_format": 1, "potential": "EAM"}', "not a keel potential"),
        (b'{"keel_format": 1, "potential": ["EAM"], "config": {}}', "is unknown"),
        (b'{"keel_format": 1, "potential": "EAM", "config": []}', "damaged"),
        (b'{"keel_format": 1, "potential": "EAM", "config": {"elements": {"Si": {}}, "pairs": {}}}', "needs"),
        (b"{" * 100_000, "not a keel potential"),
    ],
)
def test_files_that_are_no_potential(tmp_path: Path, content: bytes, reason: str) -> None:
    for suffix in (".json", ".safetensors"):
        path = tmp_path / f"wrong{suffix}"
        path.write_bytes(content)
        sentence = refused(path)
        if suffix == ".json":
            assert reason in sentence


def test_absent_files_and_folders(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "absent.json")
    assert "this is a folder" in refused(tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"keel_format": FORMAT.number + 1}, "newer keel"),
        ({"keel_format": "x"}, "format"),
        ({"potential": "Nonesuch"}, "'Nonesuch' is unknown"),
        ({"config": {"cutoff": 5.0}}, "damaged"),
        ({"energy_offsets": {"O": 1.0}}, "offsets are damaged"),
        ({"energy_offsets": {"999": 1.0}}, "offsets are damaged"),
        ({"energy_offsets": {"-8": 1.0}}, "offsets are damaged"),
        ({"energy_offsets": [1.0]}, "offsets are damaged"),
        ({"energy_offsets": {"8": "NaN"}}, "offsets are damaged"),
        ({"precision": "float7"}, "precision is damaged"),
        ({"precision": "int64"}, "precision is damaged"),
        ({"precision": ["float32"]}, "precision is damaged"),
        ({"precision": {"members.0": "float32"}}, "precision is damaged"),
    ],
)
def test_contents_that_do_not_fit(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    assert reason in refused(edited(tmp_path, **changes))


def test_weights_of_another_architecture(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = tmp_path / "network.safetensors"
    cgcnn().save(str(path))
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file({k: v for k, v in tensors.items() if "readout" not in k}, path, metadata)
    assert "do not fit" in refused(path)
    save_file({k: v.repeat(2) if v.dim() == 1 else v for k, v in tensors.items()}, path, metadata)
    assert "do not fit" in refused(path)
    save_file(tensors, path)
    assert "not a keel potential" in refused(path)


@FIXED
@given(st.data())
def test_damage_never_gives_a_traceback(tmp_path: Path, data: st.DataObject) -> None:
    suffix = data.draw(st.sampled_from([".json", ".safetensors"]))
    path = tmp_path / f"damaged{suffix}"
    (eam() if suffix == ".json" else cgcnn()).save(str(path))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 3))):
            # Nearly all of a network's file is weights; damage is of interest in what describes them.
            content[data.draw(st.integers(0, min(len(content), 3000) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    try:
        sentence, loaded = str(path), keel.load(path)
    except DataError as error:
        sentence, loaded = str(error), None
    assert loaded is None or isinstance(loaded, Potential)
    assert sentence.startswith(str(path))
    assert "\n" not in sentence


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    replace_file(path, lambda temporary: temporary.write_text("old"))

    def fail(temporary: Path) -> None:
        temporary.write_text("half of the n")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_file(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    eam().save(str(tmp_path / "a" / "b" / "eam.json"))
    assert (tmp_path / "a" / "b" / "eam.json").is_file()


class TestWhatTheSystemRefuses:
    def run(self, monkeypatch, capsys, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["keel", *map(str, arguments)])
        with pytest.raises(SystemExit) as error:
            main()
        assert error.value.code == 2
        *_, last = capsys.readouterr().err.strip().splitlines()
        assert last.startswith("keel: ")
        return last

    @pytest.mark.parametrize("command", [["assess"], ["run"], ["fit"]], ids="".join)
    def test_a_place_that_cannot_be_written(self, command, tmp_path, monkeypatch, capsys):
        """A folder below a file."""
        keel.EAM.from_elements(["Cu"], cutoff=4.0).save(str(tmp_path / "cu.json"))
        keel.write(tmp_path / "p.extxyz", keel.read(FEW)[:6])
        (tmp_path / "file").touch()
        (tmp_path / "c.yaml").write_text(
            "{name: x, data: {files: [p.extxyz], split: {train: 4, validation: 1, test: 1}}}"
        )
        arguments = {
            "assess": [tmp_path / "cu.json", "--probes", "clusters", "--out", tmp_path / "file" / "x"],
            "run": [tmp_path / "c.yaml", "--out", tmp_path / "file" / "x"],
            "fit": [tmp_path / "p.extxyz", "--out", tmp_path / "file" / "x.json"],
        }
        sentence = self.run(monkeypatch, capsys, *command, *arguments[command[0]])
        assert str(tmp_path / "file") in sentence and "choose another place" in sentence

    @pytest.mark.parametrize("suffix", ["json", "safetensors"])
    def test_a_full_disk(self, suffix, tmp_path, monkeypatch, capsys):
        """What was there stays."""
        potential = keel.EAM.from_elements(["Cu"], cutoff=4.0)
        path = tmp_path / f"eam.{suffix}"
        potential.save(str(path))
        before = path.read_bytes()

        def full(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

        monkeypatch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            potential.save(str(path))
        assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]

    def test_safetensors_names_the_error_by_number_only(self, tmp_path):
        from safetensors import SafetensorError

        def write(temporary: Path) -> None:
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

        with pytest.raises(OSError, match="No space left") as error:
            replace_file(tmp_path / "a.safetensors", write)
        assert error.value.errno == errno.ENOSPC and error.value.filename == str(tmp_path / "a.safetensors")

        def damaged(temporary: Path) -> None:
            raise SafetensorError("something else")

        with pytest.raises(SafetensorError):
            replace_file(tmp_path / "a.safetensors", damaged)

    def test_the_command_line_tells_a_full_disk(self, tmp_path, monkeypatch, capsys):
        keel.write(tmp_path / "p.extxyz", keel.read(FEW)[:6])

        def full(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "eam.json")

        monkeypatch.setattr(Path, "replace", full)
        sentence = self.run(monkeypatch, capsys, "fit", tmp_path / "p.extxyz", "--out", tmp_path / "eam.json")
        assert "the disk is full (eam.json); free some space" in sentence
        assert [p.name for p in tmp_path.iterdir()] == ["p.extxyz"]

    def test_what_the_system_refuses_without_a_name(self):
        full, large = (OSError(number, os.strerror(number)) for number in (errno.ENOSPC, errno.EFBIG))
        assert sentence(full).startswith("the disk is full; free some space")
        assert "larger than allowed here (ulimit -f)" in sentence(large)

    def test_a_potential_is_not_replaced_by_its_export(self, tmp_path, monkeypatch, capsys):
        path = tmp_path / "cu.json"
        eam().save(str(path))
        before = path.read_bytes()
        assert "would replace its own input file" in self.run(monkeypatch, capsys, "export", path, "--out", path)
        assert path.read_bytes() == before


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit(130)])
def test_an_interruption_says_how_to_go_on(stop, monkeypatch, capsys):
    def interrupted() -> None:
        raise stop

    monkeypatch.setattr("keel.cli.app", interrupted)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert "interrupted; train, run" in capsys.readouterr().err


@pytest.mark.parametrize("name", sums())
def test_a_sum_is_converted_in_all_its_parts_or_kept(name: str) -> None:
    potential = sums()[name]
    assert converted(potential) is potential, "None keeps the precision of each part"
    for dtype in (torch.float32, torch.float64):
        found = converted(potential, dtype)
        assert set(found.precisions().values()) == {dtype}
        assert converted(found, dtype) is found
    assert potential.precisions() == sums()[name].precisions(), "it is left as it is"
