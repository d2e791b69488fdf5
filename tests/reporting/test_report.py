import csv
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from browser import Browser
from html_page import Page
from keel.cli import app
from keel.errors import DataError
from keel.reporting import load_results, write_report
from keel.reporting.figures import trade_off_figure
from keel.reporting.figures.stability import SHORTEST_FS
from keel.reporting.figures.style import slug
from keel.reporting.strategies import compare
from run_folder import HELPS, Scenario, build_run_folder, phosphorus, silica
from undrawn import drawn

pytestmark = pytest.mark.xdist_group("report")
NUMBERS_ONLY = ("data", "teacher", "train", "accuracy", "rdf", "dimers", "squeeze")


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """A report of two elements with everything in it."""
    two = replace(HELPS, force_mae={"vanilla": 78.0, "pretrain": 81.0})
    with drawn():
        return write_report(build_run_folder(tmp_path_factory.mktemp("silica"), silica(), two, seeds=2))


@pytest.fixture(scope="module")
def page(report) -> Page:
    return Page(report.read_text(encoding="utf-8"))


def test_nothing_is_fetched_from_elsewhere(page, report):
    targets = [
        v for _, a in page.tags for name, v in a.items() if name in ("src", "href", "xlink:href", "action", "data")
    ]
    assert len(targets) > 20
    assert all(target.startswith(("#", "data:")) for target in targets)
    text = report.read_text(encoding="utf-8")
    assert "@import" not in text
    assert all(target.startswith("#") for target in re.findall(r"url\([\"']?([^)\"']+)", text))
    assert not {"script", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    assert len(text) < 10e6


def test_identifiers_are_unique_and_every_reference_has_its_target(page):
    ids = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert not [name for name, count in ids.items() if count > 1]
    values = [value for _, attributes in page.tags for value in attributes.values()]
    named = {n for v in values for n in re.findall(r"^#(.+)$|url\(#([^)]+)\)", v)}
    assert {a or b for a, b in named} <= set(ids)


def test_every_figure_has_words_and_its_files(page, report):
    drawings = [a for tag, a in page.tags if tag == "svg"]
    assert len(drawings) > 15
    titles = {a["id"] for tag, a in page.tags if tag == "title" and "id" in a}
    assert all(a["role"] == "img" and a["aria-labelledby"] in titles for a in drawings)
    names = [a["id"].removeprefix("figure-") for tag, a in page.tags if tag == "figure"]
    assert len(names) == len(drawings)
    folder = report.parent / "figures"
    assert {path.name for path in folder.iterdir()} == {f"{n}.{s}" for n in names for s in ("png", "pdf", "svg", "csv")}
    for name in names:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert "<svg" in (folder / f"{name}.svg").read_text()
        rows = list(csv.reader((folder / f"{name}.csv").open()))
        assert len(rows) > 1
        assert {len(row) for row in rows} == {len(rows[0])}
    kinds = (
        "survival",
        "causes",
        "accuracy-stability",
        "failure",
        "rdf",
        "dimer",
        "eam",
        "training",
        "validation",
        "parity",
    )
    assert all(any(name.startswith(kind) for name in names) for kind in kinds)


def test_tables_have_headers(page):
    assert all(a.get("scope") in ("col", "row") for tag, a in page.tags if tag == "th")
    captions = sum(tag == "caption" for tag, _ in page.tags)
    assert captions == sum(tag == "table" for tag, _ in page.tags) > 5


def test_the_page_says_what_the_files_say(page):
    for words in ("Pretraining lengthened the median time to failure at least", "> 3000 fs",
                  "force error larger (+3 meV/Å", "14 of 16", "Mean time survived, vanilla = 1", "-88 percentage",
                  "2 frames with an energy far outside", "the composition never varies", "777 frames",
                  "100 + 900", "torch", "architecture: CGCNN"):  # fmt: skip
        assert words in page.text


def test_the_survival_table_is_the_share_of_sound_runs(report):
    rows = list(csv.DictReader((report.parent / "figures" / "survival-CGCNN.csv").open()))
    vanilla = [(float(r["time_fs"]), float(r["survival"])) for r in rows if r["strategy"] == "vanilla"]
    times = np.array(
        [t for r in load_results(report.parent).records if r.strategy == "vanilla" for t in r.time_to_failure_fs]
    )
    for time, share in vanilla[:-1]:
        assert share == pytest.approx((times > time).mean())
    assert vanilla[-1][1] == pytest.approx(2 / 16)


def test_dimer_and_rdf_tables_hold_all_strategies(report):
    rows = list(csv.DictReader((report.parent / "figures" / "dimer-CGCNN-O-Si.csv").open()))
    assert {row["curve"] for row in rows} == {"EAM", "vanilla", "pretrain"}
    header = next(csv.reader((report.parent / "figures" / "rdf-CGCNN-O-Si.csv").open()))
    assert header == ["r", "reference", "vanilla", "pretrain"]


@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (1280, False)])
def test_in_a_browser_nothing_overflows_and_nothing_complains(report, width, dark):
    with Browser() as browser:
        browser.open(report, width, 740, dark)
        assert browser.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert browser.errors() == []
        sizes = browser.evaluate(
            "[...document.querySelectorAll('svg.figure')].map(s => s.getBoundingClientRect().width)"
        )
        assert min(sizes) > 250
        assert max(sizes) < width
        requests = browser.evaluate("performance.getEntriesByType('resource').map(r => r.name)")
        assert all(name.startswith("data:") for name in requests)
        ink = browser.evaluate("getComputedStyle(document.querySelector('svg.figure text')).fill")
        assert (sum(map(int, re.findall(r"\d+", ink)[:3])) > 382) == dark


@pytest.fixture
def small(tmp_path) -> Path:
    """A run without what takes long to draw."""
    scenario = Scenario({"vanilla": [(100.0, "force")]}, HELPS.force_mae)
    return build_run_folder(tmp_path / "run", phosphorus(), scenario, seeds=1, without=NUMBERS_ONLY)


def test_stages_that_are_absent_are_left_out_with_a_remark(small):
    text = Page(write_report(small).read_text()).text
    absent = "Not part of this run: the teacher, the census of the data, training curves, parity, crystals"
    assert absent in text
    assert "parity, crystals under compression, radial distribution functions, dimer curves." in text
    assert "only one seed" in text


def test_where_crystals_cave_in_is_told(tmp_path):
    without = tuple(stage for stage in NUMBERS_ONLY if stage not in ("squeeze", "teacher"))
    folder = build_run_folder(tmp_path / "run", phosphorus(), seeds=2, without=without)
    text = Page(write_report(folder).read_text()).text
    assert "CGCNN: under compression crystals cave in with vanilla; simulations show it only if" in text
    first = max(
        s.first_fall for trial in load_results(folder).trials_of("CGCNN", "vanilla") for s in trial.squeezed[:1]
    )
    words = f"first falls at (of the length; volume) {first:.2f}; {first**3:.2f} none none"
    assert words in " ".join(text.split())
    assert "cave in, all seeds 2 of 4 0 of 4 0 of 4" in " ".join(text.split())
    assert len(list((folder / "figures").glob("squeeze-CGCNN-*.csv"))) == 2
    assert "Pressure of P32 at 18.9 Å³/atom under uniform compression: teacher, vanilla, sam, pretrain." in text


def test_a_network_that_has_learnt_nothing_is_told_first(tmp_path):
    without = tuple(stage for stage in NUMBERS_ONLY if stage != "accuracy")
    folder = build_run_folder(tmp_path / "run", phosphorus(), seeds=1, without=without)
    assert "Nothing learnt" not in write_report(folder).read_text()
    for path in folder.rglob("parity.csv"):
        rows = list(csv.reader(path.open()))
        path.write_text("".join(f"{a},{b},{b if a == 'energy' else 0}\n" for a, b, _ in rows[1:]))
        path.write_text("quantity,reference,prediction\n" + path.read_text())
    text = Page(write_report(folder).read_text()).text
    assert text.index("Nothing learnt") < text.index("The median force error of CGCNN") < text.index("What was done")


def test_nothing_failed_and_no_runs_at_all(tmp_path):
    calm = Scenario({}, HELPS.force_mae)
    text = Page(write_report(build_run_folder(tmp_path / "calm", scenario=calm, without=NUMBERS_ONLY)).read_text()).text
    assert "none of 16 runs failed" in text
    assert "The frame before failure" not in text
    every = (*NUMBERS_ONLY, "stability")
    text = Page(write_report(build_run_folder(tmp_path / "none", scenario=calm, without=every)).read_text()).text
    assert "no MD runs" in text


def test_runs_that_fail_at_once_are_not_drawn_as_stable(tmp_path):
    at_once = Scenario({"vanilla": [(0.0, "force")] * 8}, HELPS.force_mae)
    results = load_results(build_run_folder(tmp_path, scenario=at_once))
    figure = trade_off_figure(compare(results.records, "CGCNN"))
    rows = list(zip(*(figure.data[name] for name in ("strategy", "median_fs", "censored")), strict=True))
    assert {row[1:] for row in rows if row[0] == "vanilla"} == {(0.0, False)}
    heights = [line.get_ydata()[0] for line in figure.figure.axes[0].lines]
    assert min(heights) == SHORTEST_FS and max(heights) == at_once.length


def test_the_same_results_give_the_same_files(small, tmp_path):
    with drawn(pdf_fonts=42):  # as outside tests
        first, second = write_report(small), write_report(small, tmp_path / "again" / "other.html")
    assert second.read_text().replace("other-figures/", "figures/") == first.read_text()
    for path in (small / "figures").iterdir():
        assert (tmp_path / "again" / "other-figures" / path.name).read_bytes() == path.read_bytes()


def test_the_command_prints_where_the_report_is(small, tmp_path):
    run = CliRunner().invoke(app, ["report", str(small), "--out", str(tmp_path)])
    assert run.exit_code == 0, run.output
    assert Path(run.stdout.strip()) == tmp_path / "report.html"
    assert (tmp_path / "figures" / "survival-CGCNN.png").is_file()


def test_hostile_names_stay_text(tmp_path):
    strategy, network = "<script>alert(1)</script>$\\frac$", '../../"><img src=x onerror=alert(1)>'
    scenario = Scenario({"vanilla": [(100.0, "<b>boom</b>")]}, {"vanilla": 78.0, strategy: 80.0})
    folder = build_run_folder(tmp_path / "run", scenario=scenario, seeds=1, networks=(network,), without=NUMBERS_ONLY,
                              name="</title><script>")  # fmt: skip
    with drawn():
        page = Page(write_report(folder).read_text())
    assert not {"script", "img", "b"} & {tag for tag, _ in page.tags}
    assert "<b>boom</b>" in page.text
    assert strategy in page.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_slugs_are_file_names():
    assert slug("a/b", "..", "") == "a-b-x-x"
    assert re.fullmatch(r"[A-Za-z0-9.+-]+", slug('Ü/\\:*?"<>|\n', "x" * 300))
    assert len(slug("x" * 300)) < 100


def damage_json(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


DAMAGES = {
    "results.json": [lambda p: p.write_text(p.read_text()[:-20]), lambda p: p.write_text("{}"),
                     lambda p: p.write_bytes(b"\xff\xfe\x00")],
    "summary.json": [Path.unlink, lambda p: p.write_text("[]"), lambda p: damage_json(p, lambda c: c[0].pop("seed")),
                     lambda p: damage_json(p, lambda c: c[0]["failure_cause"].pop())],
    "versions.json": [Path.unlink],
    "config.yaml": [Path.unlink],
    "stages/data/census.json": [lambda p: p.write_text("[1]")],
    "stages/teacher/decomposition.csv": [lambda p: p.write_text(p.read_text().replace("core", "x", 1)), Path.unlink],
    "stages/train/CGCNN-vanilla-0/metrics.csv": [lambda p: p.write_text(p.read_text()[:-30])],
    "stages/accuracy/CGCNN-sam-0/parity.csv": [lambda p: p.write_text(p.read_text() + "energy,one,2\n")],
    "stages/rdf/CGCNN-sam-0/rdf.json": [lambda p: p.write_text("{}")],
    "stages/dimers/CGCNN-sam-0/dimers.json": [lambda p: p.write_text("[]")],
    "stages/squeeze/CGCNN-sam-0/squeeze.json": [Path.unlink, lambda p: p.write_text("{}"),
                                                lambda p: damage_json(p, lambda c: c["crystals"][0].pop("source"))],
    "stages/squeeze/teacher/squeeze.csv": [lambda p: p.write_text(p.read_text().replace("31.5 ang", "31 ang"))],
    "stages/stability/CGCNN-vanilla-0/stability.json": [lambda p: p.write_text('{"sources": ["a", "b"]}'), Path.unlink],
    "stages/stability/CGCNN-vanilla-0/failures.extxyz": [lambda p: p.write_text("32\nnonsense"), Path.unlink],
}  # fmt: skip


@pytest.mark.parametrize(("name", "damage"), [(name, damage) for name, kinds in DAMAGES.items() for damage in kinds])
def test_a_damaged_file_is_named_in_one_sentence(tmp_path, name, damage):
    folder = build_run_folder(tmp_path, seeds=1)
    damage(folder / name)
    with pytest.raises(DataError) as error:
        load_results(folder)
    message = str(error.value)
    assert str(folder / name) in message
    assert "keel run" in message
    assert "\n" not in message


def test_records_know_where_their_runs_started(tmp_path):
    folder = build_run_folder(tmp_path, seeds=2)
    # A folder of an older keel does not tell.
    damage_json(folder / "stages/stability/CGCNN-sam-1/stability.json", lambda c: c.pop("sources"))
    for record in load_results(folder).records:
        known = (record.strategy, record.seed) != ("sam", 1)
        assert record.sources == (tuple(f"data.extxyz, frame {40 + k}" for k in range(8)) if known else ())


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(DataError, match="not a finished run"):
        load_results(tmp_path)


def test_steps_of_later_stages_follow_those_of_pretraining(tmp_path):
    trials = load_results(build_run_folder(tmp_path, seeds=1)).trials_of("CGCNN", "pretrain")
    assert trials[0].training is not None
    assert trials[0].training.pretrain_steps == 100
    assert np.array_equal(trials[0].training.step, np.arange(1, 1001))
