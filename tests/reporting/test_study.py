import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_report_verdict import several

from keel.config import dump_yaml, read_config
from keel.errors import DataError
from keel.reporting import load_results
from keel.reporting.strategies import compare, paired, verdicts
from keel.reporting.study import panels, write_study
from keel.reporting.study.collect import describe
from keel.reporting.study.columns import TABLES, read_table
from keel.reporting.study.data import read_study
from keel.reporting.study.dynamics import survival_row
from keel.reporting.study.markdown import at_a_glance, rdf_table
from keel.reporting.study.rows import DIMER_TOLERANCE, RDF_TOLERANCE, simulated_pairs
from keel.reporting.study.thinner import simplified
from run_folder import HELPS, System, build_run_folder, phosphorus, silica
from undrawn import drawn

LAPTOP = Path(__file__).parents[2] / "examples" / "study" / "laptop"

pytestmark = pytest.mark.xdist_group("study")
TWO = replace(HELPS, force_mae={"vanilla": 78.0, "pretrain": 81.0})
REPAIRED = replace(HELPS, force_mae={"vanilla": 78.0, "repair": 79.0})
SIZES = (20, 80)


def crystal() -> System:
    """Five elements without DFT MD."""
    return replace(silica(), name="oxides", elements=("Li", "Mn", "Fe", "P", "O"), dft_md=False)


@pytest.fixture(scope="module")
def coarse():
    """Figures of few dots, which are drawn sooner."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(panels, "RESOLUTION", 30)
        yield


@pytest.fixture(scope="module")
def study(tmp_path_factory, coarse) -> Path:
    """Silica with two networks and two more numbers of frames, and oxides with one seed."""
    out = tmp_path_factory.mktemp("study")
    for network in ("CGCNN", "M3GNet"):
        build_run_folder(out / f"silica-{network}", silica(), TWO, networks=(network,))
    for frames in SIZES:
        scenario = replace(TWO, force_mae={s: mae * (40 / frames) ** 0.3 for s, mae in TWO.force_mae.items()})
        build_run_folder(out / f"silica-CGCNN-{frames}", silica(), scenario, train_frames=frames)
    build_run_folder(out / "oxides", crystal(), REPAIRED, seeds=1)
    with drawn():
        write_study(out)
    return out


@pytest.fixture(scope="module")
def page(study) -> str:
    return (study / "study.md").read_text(encoding="utf-8")


def rows_of(study: Path, table: str) -> list[dict[str, str]]:
    return list(csv.DictReader((study / "tables" / f"{table}.csv").open(encoding="utf-8")))


def table_under(page: str, heading: str, number: int = 0) -> list[list[str]]:
    """Return the rows of a table that follows a heading, after its head."""
    found = re.findall(r"(?:^\|.*\n)+", page[page.index(heading) :], flags=re.MULTILINE)[number]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()][2:]


def test_cells_tell_what_the_runs_tell(study):
    cells = {(r["system"], r["network"], r["strategy"], r["seed"]): r for r in rows_of(study, "cells")}
    assert len(cells) == 2 * 4 + 2 * 4 + 2
    cell = cells["silica", "M3GNet", "vanilla", "1"]
    assert (cell["folder"], cell["runs"], cell["failed"], cell["train_frames"]) == ("silica-M3GNet", "8", "7", "40")
    # The times of seed 1 are 7 % longer, rounded: half of eight runs are dead at the fourth.
    times = [round(1.07 * t) for t, _ in HELPS.failures["vanilla"]]
    assert float(cell["median_fs"]) == sorted(times)[3]
    assert float(cell["restricted_mean_fs"]) == pytest.approx((sum(times) + 3000) / 8, rel=1e-6)
    assert float(cell["force_mae_mev_per_angstrom"]) == pytest.approx(78 + 1.7)
    assert cells["silica", "CGCNN", "pretrain", "0"]["median_fs"] == ""


def test_lifetimes_are_those_of_the_runs_with_their_starts(study):
    found = [r for r in rows_of(study, "lifetimes") if (r["system"], r["network"]) == ("silica", "CGCNN")]
    records = load_results(study / "silica-CGCNN").records
    assert [float(r["time_fs"]) for r in found] == [t for record in records for t in record.time_to_failure_fs]
    assert [r["cause"] or None for r in found] == [c for record in records for c in record.failure_cause]
    assert {r["start"] for r in found} == {f"data.extxyz, frame {40 + k}" for k in range(8)}


def test_comparisons_are_those_of_the_report(study):
    (row,) = [r for r in rows_of(study, "comparisons") if (r["system"], r["network"]) == ("silica", "CGCNN")]
    strategies = compare(load_results(study / "silica-CGCNN").records, "CGCNN")
    comparison, (verdict,) = paired(*strategies), verdicts(strategies)
    assert (row["strategy"], row["effect"], row["sentence"]) == ("pretrain", verdict.effect, verdict.sentence)
    for name, interval in (("mean_ratio", comparison.mean), ("failed_difference", comparison.failed)):
        found = [float(row[f"{name}{end}"]) for end in ("", "_low", "_high")]
        assert found == pytest.approx([interval.value, interval.low, interval.high], rel=1e-6)


@pytest.mark.parametrize("pair", ["O-O", "O-Si", "Si-Si"])
def test_curves_with_fewer_points_look_the_same(study, pair):
    trials = load_results(study / "silica-CGCNN").trials_of("CGCNN", "vanilla")
    chosen = {"system": "silica", "network": "CGCNN", "strategy": "vanilla", "pair": pair}
    drawn = read_table(study / "tables", "dimers").where(**chosen, seed=1)
    full = trials[1].dimer_curves[pair]
    height = np.interp(full.r, drawn["r"], np.arcsinh(drawn["energy"] / 0.2))
    assert len(drawn) < 0.8 * len(full.r)
    assert np.abs(height - np.arcsinh(full.energy / 0.2)).max() < 1.1 * DIMER_TOLERANCE
    drawn, curves = read_table(study / "tables", "rdf").where(**chosen), [t.rdf_curves[pair] for t in trials]
    known = {"reference": curves[0].reference, "mean": np.mean([c.simulation for c in curves], axis=0),
             "lowest": np.min([c.simulation for c in curves], axis=0)}  # fmt: skip
    for name, curve in known.items():
        away = np.interp(curves[0].r, drawn["r"], drawn[name]) - curve
        assert np.abs(away).max() < 1.1 * RDF_TOLERANCE * drawn["highest"].max()


@given(
    arrays(np.float64, st.integers(2, 60), elements=st.floats(-5, 5)), st.floats(0.01, 1), st.lists(st.integers(0, 59))
)
def test_lines_between_the_points_kept_are_never_further_away_than_allowed(y, tolerance, gaps):
    x = np.cumsum(1.0 + np.arange(len(y)) % 3)
    holes = np.array([k for k in gaps if k < len(y)], dtype=int)
    broken = y.copy()
    broken[holes] = np.nan
    points = simplified(x, [y, broken], tolerance)
    assert {0, len(x) - 1, *holes.tolist()} <= set(points.tolist())
    assert np.abs(np.interp(x, x[points], y[points]) - y).max() <= tolerance + 1e-9


def test_a_curve_that_is_not_known_anywhere_keeps_no_points():
    x = np.linspace(0, 8, 300)
    assert simplified(x, [np.full(300, np.nan), 3 * x - 1], 1e-9).tolist() == [0, 299]


def test_a_straight_line_needs_its_ends_only():
    x = np.linspace(0, 8, 300)
    assert simplified(x, [3 * x - 1], 1e-9).tolist() == [0, 299]


def test_pairs_are_those_that_most_simulations_tell_of():
    """A run that failed early saw what no other did; its pairs are not those to draw."""
    seen = ({"A-A": 0}, {"B-B": 0, "C-C": 0}, {"B-B": 0, "C-C": 0}, {"C-C": 0}, {})
    trials = [SimpleNamespace(rdf_curves=curves) for curves in seen]
    system = SimpleNamespace(trials=trials, pairs=sorted)
    assert simulated_pairs(system) == ["B-B", "C-C"]
    assert simulated_pairs(SimpleNamespace(trials=[SimpleNamespace(rdf_curves={})], pairs=sorted)) == []


def test_twelve_pairs_of_a_system_are_kept(study):
    pairs = {r["pair"] for r in rows_of(study, "dimers") if r["system"] == "oxides"}
    assert len(pairs) == 12 < 15
    # Oxygen is what the made-up census has most of.
    assert "O-O" in pairs


def test_the_page_shows_every_figure_and_none_else(study, page):
    shown = set(re.findall(r"\]\(figures/([^)]+)\.png\)", page))
    assert shown == {p.stem for p in (study / "figures").glob("*.png")} == {
        p.stem for p in (study / "figures").glob("*.pdf")
    }  # fmt: skip
    kinds = ("survival", "dimers", "eam-parts", "eam-pairs", "rdf")
    systems = ("silica", "oxides")
    assert shown == {"workflow", "frames-silica", *(f"{k}-{s}" for k in kinds for s in systems)}
    assert not re.search(r"(?<![a-z])(nan|inf|None)(?![a-z])", page)


def test_the_page_says_what_the_tables_say(page):
    teacher, *rows = table_under(page, "## silica")
    assert teacher == ["EAM", "the teacher", "12", "352", "–", *("–",) * 6]
    assert [row[:2] for row in rows] == [[n, s] for n in ("CGCNN", "M3GNet") for s in ("vanilla", "pretrain")]
    times = sorted(round(t * factor) for t, _ in HELPS.failures["vanilla"] for factor in (1, 1.07))
    # Energy, force, stress, temperature, length, failed, and the eighth of sixteen runs.
    assert rows[0][2:9] == ["3.2 ± 0.14", "78.8 ± 1.2", "1.9 ± 0", "3000", "3000", "14 of 16", f"{times[7]}"]
    assert rows[1][7:] == ["0 of 16", "> 3000", "3000", "–"]
    assert "18 trainings, 144 runs of molecular dynamics, 1.0 hours of one worker" in page
    assert "Pretraining lengthened the median time to failure" in page
    assert "40 to train" in page


def test_a_band_of_survival_reaches_over_the_seeds_and_those_without_failure_are_named(study):
    lifetimes = read_table(study / "tables", "lifetimes").where(system="silica", network="CGCNN")
    (panel,) = survival_row("silica", lifetimes).figure.axes
    assert [text.get_text() for text in panel.texts] == ["no failure: pretrain"]
    band, shown = panel.collections[0].get_paths()[0].vertices, panel.lines[0]
    assert (shown.get_label(), shown.get_drawstyle()) == ("vanilla", "steps-post")
    seeds = [
        np.sort(s["time_fs"][s["cause"] != ""]) for s in lifetimes.where(strategy="vanilla").groups("seed").values()
    ]
    for time, share in zip(*shown.get_data(), strict=True):
        single = sorted(1 - np.searchsorted(failed, time, side="right") / 8 for failed in seeds)
        assert share == pytest.approx(np.mean(single))
        drawn = band[np.isclose(band[:, 0], time), 1]
        assert np.isclose(drawn, single[0]).any() and np.isclose(drawn, single[-1]).any()


def test_the_page_says_whether_forces_were_learnt(study, page, tmp_path):
    # Reference forces of the made-up cells have a width of 1 eV/A, errors one of 0.09.
    found = re.search(
        r"smaller than (\d+) meV/Å; half of the errors of plain training are smaller than ([\d.]+) \(CGCNN\)", page
    )
    assert 0.9 * 674 < float(found[1]) < 1.1 * 674
    assert 0.9 * 60.7 < float(found[2]) < 1.1 * 60.7
    assert "did not learn" not in page and "by MAE or RMSE" not in page
    shutil.copytree(study / "tables", tmp_path / "tables")
    content = json.loads((tmp_path / "tables" / "runs.json").read_text())

    def written(left: dict[str, float]) -> str:
        """The page where typical errors are twice the typical forces."""
        for run in content["runs"]:
            run["skills"] = [
                {"network": s["network"], "force": s["force"], "error": 2 * s["force"], **left} for s in run["skills"]
            ]
        (tmp_path / "tables" / "runs.json").write_text(json.dumps(content))
        return write_study(tmp_path).read_text(encoding="utf-8")

    for before in ({}, {"left": 1.0}):
        assert "**CGCNN did not learn these forces:**" in (text := written(before))
        assert "by MAE or RMSE" not in text
    assert "did not learn" not in (text := written({"left": 0.14})), "the atoms at rest are predicted badly, no others"
    assert "errors are 14 % (CGCNN) of those of predicting zero" in text


def test_the_page_begins_with_an_overview(page):
    rows = table_under(page, "## Results")
    assert [row[:3] for row in rows] == [
        ["oxides", "CGCNN", "3000"],
        ["silica", "CGCNN", "3000"],
        ["silica", "M3GNet", "3000"],
    ]
    vanilla, pretrain = rows[1][3], rows[1][-1]
    assert re.fullmatch(r"14 of 16 failed; 78\.\d meV/Å", vanilla)
    assert re.fullmatch(r"0 of 16 failed; \+\d\.\d %", pretrain)
    assert rows[0][-1] == ""  # no such strategy there


def test_force_errors_are_compared_over_the_seeds_of_both():
    three, one = several("vanilla", {0: [], 1: [], 2: []}), several("zbl-delta", {0: []})
    assert at_a_glance(three, three) == "0 of 24 failed; 80 meV/Å"
    assert at_a_glance(one, three) == "0 of 8 failed; +0.0 %", "its only seed has the error of the first of the others"
    assert at_a_glance(several("sam", {5: []}), three) == "0 of 8 failed", "no seed in common"


def test_another_number_of_frames_is_another_system(study, page):
    assert {r["system"] for r in rows_of(study, "cells")} == {"silica", "silica-20", "silica-80", "oxides"}
    assert "## silica-20" not in page
    assert "| network | strategy | 20 frames | 40 frames | 80 frames |" in page
    vanilla = table_under(page, "## Fewer and more DFT frames")[0]
    assert vanilla[:2] == ["CGCNN", "vanilla"]
    assert [float(cell.split(" ")[0]) for cell in vanilla[2:]] == pytest.approx(
        [78 * (40 / n) ** 0.3 + 0.85 for n in (20, 40, 80)], rel=0.01
    )
    assert all(cell.endswith("14 of 16 at 3000 K") for cell in vanilla[2:])
    # M3GNet has one size only.
    assert all(row[0] == "CGCNN" for row in table_under(page, "## Fewer and more DFT frames"))


def test_errors_of_g_stand_beside_their_floor(page):
    rows = table_under(page, "the error of g(r) against DFT")
    assert rows[0][:4] == ["–", "DFT, the floor", "", "1.25; 0.05"]
    # 90 * (0.2 - 0.13) and one per cent more for the other seed.
    assert rows[1][3].startswith("6.75 ± 0.64")
    assert rows[1][2] == "4"  # two of each seed


def test_without_dft_dynamics_strategies_are_compared_with_each_other(study, page):
    assert {r["reference"] for r in rows_of(study, "rdf") if r["system"] == "oxides"} == {""}
    about = page[page.index("## oxides") : page.index("## silica")]
    assert "There is no DFT molecular dynamics of this system" in about
    assert "error of g(r)" not in about


def test_cost_of_a_training(page):
    rows = table_under(page, "### Cost of one training")
    assert rows[1][1:2] + rows[1][4:7] == ["repair", "0 + 1000", "1000", "1000"]
    assert "already trained vanilla network" in page


def written_again(study: Path, folder: Path, *parts: str) -> list[Path]:
    """Write a study again from its tables alone; return the parts of it that are the same, byte for byte."""
    shutil.copytree(study / "tables", folder / "copy" / "tables")
    again = write_study(folder / "copy", folder / "again").parent
    names = [path.relative_to(study) for part in parts for path in study.glob(part)]
    for name in names:
        assert (again / name).read_bytes() == (study / name).read_bytes(), name
    return names


def test_tables_alone_give_the_same_again(study, tmp_path):
    assert len(written_again(study, tmp_path, "tables/*", "study.md")) > 8


def test_and_the_same_figures(tmp_path, coarse):
    with drawn():
        write_study(build_run_folder(tmp_path / "study" / "a", phosphorus(), TWO).parent)
        assert len(written_again(tmp_path / "study", tmp_path, "figures/*")) > 8


def unfinished(folder: Path, cells: int) -> None:
    """Leave what a run has written after some cells."""
    for name in ("results.json", "summary.json"):
        content = json.loads((folder / name).read_text())
        part = content[:cells] if isinstance(content, list) else content | {"cells": content["cells"][:cells]}
        (folder / name).write_text(json.dumps(part))


def test_an_unfinished_study_shows_what_is_there(tmp_path):
    unfinished(build_run_folder(tmp_path / "b", phosphorus(), TWO), cells=1)
    begun = build_run_folder(tmp_path / "a", phosphorus(), TWO, networks=("M3GNet",))
    (begun / "results.json").unlink()
    page = write_study(tmp_path).read_text(encoding="utf-8")
    assert "**Not finished yet:** `a` (0 of 4 trials) and `b` (1 of 4 trials)" in page
    assert "1 training, " in page
    assert "### Against vanilla training" not in page
    assert [row[1] for row in table_under(page, "### Accuracy and stability")] == ["the teacher", "vanilla"]


def test_stages_that_did_not_run_are_left_out(tmp_path):
    build_run_folder(tmp_path / "a", phosphorus(), TWO, without=("rdf", "dimers", "teacher", "data", "stability"))
    page = write_study(tmp_path).read_text(encoding="utf-8")
    assert {p.name for p in (tmp_path / "figures").iterdir()} == {"workflow.png", "workflow.pdf"}
    assert table_under(page, "### Accuracy and stability")[0][5:] == ["–"] * 6
    assert "was not compared" in page


@pytest.mark.parametrize(("folder", "system"), [("second", "second"), ("phosphorus", "phosphorus (phosphorus)")])
def test_a_second_run_of_the_same_cells_is_a_system_of_its_own(tmp_path, folder, system):
    few = ("rdf", "dimers", "teacher")
    for name in ("first", folder):
        build_run_folder(tmp_path / name, phosphorus(), TWO, seeds=1, without=few)
    write_study(tmp_path)
    assert [r["system"] for r in rows_of(tmp_path, "cells")] == ["phosphorus"] * 2 + [system] * 2


def test_failed_runs_are_told_without_a_reference_too(study):
    known = read_study(study / "tables")
    errors = known.tables["rdf_errors"]
    bare = replace(known, tables={**known.tables, "rdf_errors": errors.rows(np.zeros(len(errors), dtype=bool))})
    rows = table_under(rdf_table(bare, "silica") + "\n", "")
    assert rows[0] == ["CGCNN", "vanilla", "4"]
    assert len(rows) == 4
    # A strategy all of whose runs failed at once has no g(r), but its failures count.
    without = replace(known, tables={**known.tables, "rdf_errors": errors.rows(errors["strategy"] != "vanilla")})
    assert "| CGCNN | vanilla | 4 | – | – | – |" in rdf_table(without, "silica")


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(DataError, match="contains no run with a finished trial"):
        write_study(tmp_path)


@pytest.mark.parametrize("table", [*TABLES, "runs"])
def test_a_damaged_table_gives_one_sentence(study, tmp_path, table):
    shutil.copytree(study / "tables", tmp_path / "tables")
    name = "runs.json" if table == "runs" else f"{table}.csv"
    path = tmp_path / "tables" / name
    text = path.read_text()
    damaged = [
        text[: len(text) // 2].rstrip("0123456789.,\n") + (",x,y,z\n" if table != "runs" else ""),
        text.replace("system", "sistem", 1) if table != "runs" else "{}",
        None,
    ]
    for content in damaged:
        path.unlink() if content is None else path.write_text(content)
        with pytest.raises(DataError) as caught:
            write_study(tmp_path)
        message = str(caught.value)
        assert name in message and message.endswith("put an undamaged copy in its place")
        assert "\n" not in message and "keel run" not in message


def test_what_is_no_number_is_named(study, tmp_path):
    shutil.copytree(study / "tables", tmp_path / "tables")
    path = tmp_path / "tables" / "eam.csv"
    path.write_text(path.read_text().replace(",0.1,", ",near,", 1))
    with pytest.raises(DataError, match=r"eam.csv, column 'r': could not convert string to float: 'near'"):
        write_study(tmp_path)


@pytest.mark.parametrize("path", sorted(LAPTOP.glob("*.yaml")), ids=lambda path: path.stem)
def test_as_many_trials_are_planned_as_the_configuration_has(path, tmp_path):
    """Some strategies have fewer seeds."""
    config = read_config(path)
    (tmp_path / "config.yaml").write_text(dump_yaml(config))
    trials = sum(len(config.seeds_of(strategy)) for strategy in config.strategies) * len(config.networks)
    assert describe(tmp_path, None, "any")["planned"] == trials
