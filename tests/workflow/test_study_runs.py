"""Several runs as one study: all are done, what cannot be done is told, and the command goes on."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from keel.atoms.write import write
from keel.cli import app
from keel.datasets import phosphorus
from keel.errors import ConfigError, DataError, KeelError
from keel.workflow.study import members, progress_table, study
from tiny_run import TINY, numbers

pytestmark = pytest.mark.xdist_group("study_runs")
SMALL = {**TINY, "strategies": ["vanilla", "pretrain"], "evaluation": {"dimers": 1}}


def write_config(folder: Path, name: str, content: dict) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(yaml.safe_dump(content))


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> tuple[Path, Path]:
    """Two runs, and one whose data are not there."""
    root = tmp_path_factory.mktemp("study")
    write_config(root / "configs", "a.yaml", SMALL)
    write_config(root / "configs", "b.yaml", {"extends": "a.yaml", "name": "other", "seeds": [1]})
    absent = {"data": {"files": ["nowhere.extxyz"]}}
    write_config(root / "configs", "c.yaml", {"extends": "a.yaml", "name": "third", **absent})
    with pytest.raises(KeelError, match=r"^c\.yaml: .*nowhere\.extxyz") as error:
        study(members(root / "configs", root / "out"))
    assert "\n" not in str(error.value)
    return root / "configs", root / "out"


def shown(runs) -> str:
    console = Console(width=120, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(progress_table(runs))
    return console.export_text()


def test_every_run_that_can_be_done_is_done(done):
    configs, out = done
    assert [len(numbers(out / name)) for name in ("a", "b")] == [2, 2]
    assert {r["seed"] for r in numbers(out / "b")} == {1}
    assert (out / "a" / "report.html").is_file()
    page = (out / "study.md").read_text()
    assert "phosphorus" in page
    assert "other" in page
    rows = "".join(line for line in shown(members(configs, out)).splitlines() if "CGCNN" in line)
    assert (rows.count("●"), rows.count("◐"), rows.count("○")) == (4, 0, 2)


def test_without_a_finished_cell_the_reason_is_told(tmp_path):
    write_config(tmp_path / "configs", "c.yaml", {**SMALL, "data": {**SMALL["data"], "files": ["nowhere.extxyz"]}})
    with pytest.raises(KeelError, match=r"^c\.yaml: .*nowhere\.extxyz"):
        study(members(tmp_path / "configs", tmp_path / "out"))


def test_other_settings_are_not_done(done):
    configs, out = done
    member = members(configs, out)[0]
    (network,) = member.config.networks
    assert member.done(network, "vanilla") == (1, 1)

    def after(strategy="vanilla", **changes) -> tuple[int, int]:
        parts = {name: getattr(member.config, name).model_copy(update=change) for name, change in changes.items()}
        return replace(member, config=member.config.model_copy(update=parts)).done(network, strategy)

    assert after(training={"steps": 99}) == (0, 0)
    assert after(md={"friction_per_fs": 0.5}) == (1, 0)
    assert after(perturbation={"rounds": 9}) == (1, 1)  # vanilla has none
    assert after(teacher={"cutoff": 4.5}) == (1, 1)
    assert after("pretrain", teacher={"cutoff": 4.5}) == (0, 0)
    assert after(evaluation={"rdf_temperature": 300.0}) == (1, 0)
    split = member.config.data.split.model_copy(update={"gap": 7})
    assert after(data={"split": split}) == (0, 0)


def test_goes_on_where_it_stopped(done):
    configs, out = done
    before = {p: p.stat().st_mtime_ns for p in out.rglob("done.json")}
    with pytest.raises(KeelError, match="nowhere"):
        study(members(configs, out))
    assert {p: p.stat().st_mtime_ns for p in out.rglob("done.json")} == before


def test_commands_that_only_look(done):
    configs, out = done
    result = CliRunner().invoke(app, ["study", str(configs), "--out", str(out), "--status"])
    assert result.exit_code == 0
    (out / "study.md").unlink()
    result = CliRunner().invoke(app, ["report", str(out), "--out", str(out / "again")])
    assert result.exit_code == 0
    assert (out / "again" / "tables" / "cells.csv").is_file()
    only_tables = CliRunner().invoke(app, ["report", str(out / "again")])
    assert only_tables.exit_code == 0
    assert not (out / "study.md").exists()


def test_data_are_found_by_name_in_a_folder(tmp_path):
    write_config(tmp_path / "configs", "a.yaml", {**SMALL, "data": {**SMALL["data"], "files": ["x/y/p.extxyz"]}})
    (tmp_path / "data" / "deep").mkdir(parents=True)
    write(tmp_path / "data" / "deep" / "p.extxyz", phosphorus()[:2])
    (member,) = members(tmp_path / "configs", tmp_path / "out", tmp_path / "data")
    assert member.config.data.files == ["../data/deep/p.extxyz"]
    with pytest.raises(DataError, match=r"no p\.extxyz in .*name the folder"):
        members(tmp_path / "configs", tmp_path / "out", tmp_path / "configs")


def test_a_folder_without_configurations(tmp_path):
    with pytest.raises(ConfigError, match="no configuration"):
        members(tmp_path, tmp_path)


def test_order_is_that_of_a_reader(tmp_path):
    for name in ("b-160", "b", "b-20", "a10b", "a9"):
        write_config(tmp_path, f"{name}.yaml", SMALL)
    assert [m.path.stem for m in members(tmp_path, tmp_path)] == ["a9", "a10b", "b", "b-20", "b-160"]
