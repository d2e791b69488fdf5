"""What a study and a summary tell of crystals under compression and of errors by contact."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from contact_errors import add_contacts
from keel.atoms.units import GPA
from keel.evaluation.equilibrium.squeeze import Squeezed
from keel.reporting import load_results
from keel.reporting.study import write_study
from keel.reporting.study.beyond import contact_tables, squeeze_table
from keel.reporting.study.columns import read_table
from keel.reporting.study.data import read_study
from keel.results.squeezed import LENGTHS, over_teacher, summary_of
from run_folder import HELPS, build_run_folder, silica

pytestmark = pytest.mark.xdist_group("study_beyond")
TWO = replace(HELPS, force_mae={"vanilla": 78.0, "pretrain": 81.0})


def squeezed(name, factor=1.0, hole=0.0):
    length = np.linspace(1.0, 0.4 ** (1 / 3), 28)
    pressure = factor * 0.3 * (length**-12 - 1.0) - hole * np.exp(-0.5 * ((length - 0.8) / 0.03) ** 2)
    return Squeezed(name, "data.extxyz, frame 1", length, 20 * length**3, -length, pressure)


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory,
):
    """Two runs of one system, a network each; with vanilla training one of two crystals caves in."""
    out = tmp_path_factory.mktemp("study")
    for network in ("CGCNN", "M3GNet"):
        root = build_run_folder(out / f"silica-{network}", silica(), TWO, networks=(network,))
        add_contacts(root, {"vanilla": 1.5, "pretrain": 0.5}, teacher=0.8)
    return out


@pytest.fixture(scope="module")
def study(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keel.reporting.study.write.save", lambda *_: None)
        write_study(folder)
    return read_study(folder / "tables")


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()][2:]


class TestSummary:
    @pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
    def test_pressures_stand_to_the_teachers(self, factor):
        own, teacher = squeezed("a", factor), [squeezed("b", 9.0), squeezed("a")]
        assert [over_teacher(own, teacher, x) for x in LENGTHS] == pytest.approx([factor] * 3)

    def test_without_a_teacher_that_presses_back_there_is_nothing_to_compare(self):
        for teacher in ([], [squeezed("b")], [squeezed("a", -1.0)], [squeezed("a", 0.0)]):
            assert over_teacher(squeezed("a"), teacher, 0.84) is None
        found = summary_of([squeezed("a")], [])
        assert found["pressure_over_teacher"] == dict.fromkeys(("0.92", "0.84", "0.76"))

    def test_lowest_and_highest_of_the_crystals(self):
        found = summary_of([squeezed("a", 0.5), squeezed("b", 2.0)], [squeezed("a"), squeezed("b")])
        assert (found["crystals"], found["caving_in"], found["first_fall_length"]) == (2, 0, None)
        for ends in found["pressure_over_teacher"].values():
            assert ends == pytest.approx([0.5, 2.0])

    def test_crystals_that_cave_in(self):
        own = [squeezed("a"), squeezed("b", hole=40.0), squeezed("c", hole=12.0)]
        found = summary_of(own, [squeezed("b")])
        assert (found["crystals"], found["caving_in"]) == (3, 2)
        assert found["first_fall_length"] == max(crystal.first_fall for crystal in own[1:])
        assert found["pressure_over_teacher"]["0.84"][0] < 0

    def test_none_without_crystals(self):
        assert summary_of([], [squeezed("a")]) is None


def test_rows_are_what_the_runs_hold(folder, study):
    found = study.tables["squeeze"].where(network="M3GNet", strategy="vanilla", seed=1)
    results = load_results(folder / "silica-M3GNet")
    crystals = results.trials_of("M3GNet", "vanilla")[1].squeezed
    assert len(found) == len(LENGTHS) * len(crystals) == 6
    for crystal in crystals:
        rows = found.where(crystal=crystal.name)
        fall = np.nan if crystal.first_fall is None else crystal.first_fall
        np.testing.assert_allclose(rows["first_fall_length"], [fall] * 3, rtol=1e-4)
        teacher = next(c for c in results.teacher_squeeze.crystals if c.name == crystal.name)
        for name, own in (("pressure_gpa", crystal), ("teacher_gpa", teacher)):
            np.testing.assert_allclose(rows[name], [own.pressure_at(x) / GPA for x in LENGTHS], rtol=1e-4)


def test_the_teacher_of_a_system_is_told_once(study):
    for table, most in (("squeeze", 6), ("contacts", 3)):
        found = study.tables[table].where(network="")
        assert found.different("strategy") == ["teacher"] and len(found) == most


def test_the_table_of_crystals(study):
    rows = {tuple(row[:2]): row[2:] for row in cells(squeeze_table(study, "silica"))}
    assert len(rows) == 5
    assert rows["EAM", "the teacher"][:2] == ["0 of 2", "none"] and rows["EAM", "the teacher"][2].endswith(" GPa")
    assert rows["CGCNN", "pretrain"] == ["0 of 4", "none", "1", "1", "1"]
    # The denser crystal caves in, from both seeds; the other is the teacher's.
    share, fall, *pressures = rows["CGCNN", "vanilla"]
    assert share == "2 of 4"
    length, volume = map(float, fall.split("; "))
    assert 0.8 < length < 0.95 and volume == pytest.approx(length**3, abs=0.02)
    assert all(text.endswith(" to 1)") for text in pressures)
    assert float(pressures[1].split("(")[1].split(" ")[0]) < 0


def test_tables_of_errors_by_contact(study):
    found = dict(contact_tables(study, "silica"))
    assert [heading.split(" error")[0] for heading in found] == ["Mean absolute force", "Mean absolute pressure"]
    forces, pressures = map(cells, found.values())
    head = next(iter(found.values())).splitlines()[0]
    assert "0.6 to 0.75 (3 frames)" in head and "0.9 to 1.1 (40 frames)" in head and "below 0.5" not in head
    rows = {tuple(row[:2]): row[2:] for row in forces}
    assert rows["–", "mean label"] == ["4000", "2000", "500"]
    assert rows["EAM", "the teacher"] == ["3200", "1600", "400"]
    assert rows["M3GNet", "pretrain"][0].startswith("2200 ± ")  # 0.5 and 0.6 of the label
    assert ["EAM", "the teacher"] not in [row[:2] for row in pressures]


def test_the_page_has_them(folder, study):
    page = (folder / "study.md").read_text(encoding="utf-8")
    for heading in ("### Crystals under compression", "### Errors by closest contact"):
        assert page.count(heading) == 1
    assert squeeze_table(study, "silica") in page


def test_a_study_of_before_is_read_without_them(folder, study, tmp_path):
    shutil.copytree(folder / "tables", tmp_path / "tables")
    path = tmp_path / "tables" / "runs.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    for name in ("squeeze", "contacts"):
        (tmp_path / "tables" / f"{name}.csv").unlink()
    known = read_study(tmp_path / "tables")
    assert squeeze_table(known, "silica") is None and not list(contact_tables(known, "silica"))
    assert len(known.records) == len(study.records)
    assert len(read_table(folder / "tables", "squeeze"))
