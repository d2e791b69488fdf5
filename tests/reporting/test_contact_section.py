"""Errors by contact in the folder of a run and in its report, where they were measured."""

import csv
from dataclasses import replace

import numpy as np
import pytest

import keel
from contact_errors import add_contacts, by_contact
from html_page import Page
from keel.atoms.frame import Frame
from keel.reporting import load_results, write_report
from keel.reporting.run.contacts import contact_table
from keel.results.measured import Contacts
from keel.workflow.measure import measure_contacts
from run_folder import HELPS, build_run_folder, silica


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of two strategies and two seeds, with a teacher; errors are shares of the labels."""
    two = replace(HELPS, force_mae={"vanilla": 78.0, "pretrain": 81.0})
    root = build_run_folder(tmp_path_factory.mktemp("silica"), silica(), two, seeds=2)
    add_contacts(root, {"vanilla": 1.5, "pretrain": 0.5}, teacher=0.8)
    return root


def test_what_was_written_is_read(folder):
    results = load_results(folder)
    found = results.trials[0].by_contact["forces"]
    for name, values in vars(by_contact(1.5)).items():
        np.testing.assert_allclose(getattr(found, name), values, rtol=1e-6)
    assert list(results.teacher_contacts.quantities) == ["forces"]


def test_a_run_shows_its_trials(folder):
    results = load_results(folder)
    assert repr(results).startswith("RunResults(of silica; networks CGCNN; strategies vanilla, pretrain; trials 4; in ")
    shown = results._repr_html_()
    assert shown.count("<tr>") == 5 and "CGCNN, pretrain, seed 1" in shown
    assert all(f">{record.force_mae_mev_per_angstrom:.0f}<" in shown for record in results.records)


def test_the_table_has_every_strategy_and_the_teacher(folder):
    results = load_results(folder)
    table = contact_table(results.trials, results.teacher_contacts.quantities)
    assert table.head == ("contact (sum of covalent radii)", "frames", "mean label", "vanilla", "pretrain", "teacher")
    rows = {row[0]: row[1:] for row in table.rows}
    assert len(rows) == 6  # of two quantities the three bins that hold anything
    # Seeds are 0.5 and 0.6 of the label; the ends are the lowest and the highest of both.
    assert rows["Force (meV/Å), 0.75 to 0.9"] == (
        "12",
        "2000",
        "3100 [2700, 3520]",
        "1100 [900, 1320]",
        "1600 [1440, 1760]",
    )
    assert rows["Force (meV/Å), 0.6 to 0.75"][2:] == ("6200", "2200", "3200")
    assert rows["Pressure (GPa), 0.9 to 1.1"][-1] == "–"


def test_the_report_shows_them(folder, tmp_path):
    report = write_report(folder, tmp_path)
    page = Page(report.read_text(encoding="utf-8"))
    assert "Errors as atoms come close" in page.text and "Force error by contact" in page.text
    with (tmp_path / "figures" / "contact-CGCNN-forces.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["curve"] for row in rows} == {"predicting zero", "vanilla", "pretrain", "teacher"}
    label = [float(row["error"]) for row in rows if row["curve"] == "predicting zero"]
    assert label == [4000.0, 2000.0, 500.0]


def test_a_run_without_them_has_no_such_section(tmp_path):
    results = load_results(build_run_folder(tmp_path, silica(), seeds=1))
    assert results.teacher_contacts is None and contact_table(results.trials, {}) is None


def test_a_teacher_that_knows_only_some_elements_is_judged_by_its_frames(tmp_path):
    eam = keel.EAM.from_elements(["Si"], cutoff=4.0)
    frames = [
        Frame(np.array(z), np.array([[0, 0, 0], [x, 0, 0]]), energy=-1.0, forces=np.ones((2, 3)))
        for z, x in (([14, 14], 1.6), ([14, 14], 2.2), ([8, 14], 1.6))
    ]
    measure_contacts(tmp_path, eam, frames)
    assert Contacts.read(tmp_path).quantities["forces"].values.sum() == 4
    measure_contacts(tmp_path, eam, frames[2:])
    assert not Contacts.read(tmp_path).quantities
