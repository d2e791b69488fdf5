import csv
import json
import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keel
from browser import Browser
from html_page import Page
from keel.atoms.frame import Frame
from keel.errors import ConfigError, DataError
from keel.evaluation import CheckResult, Curve, Film, Metric, equation_of_state, force_consistency
from keel.reporting import Assessment, described, read_assessments, write_assessment
from keel.reporting.assessment.parts import deciding
from keel.reporting.page.film import ABSENT, colour_of, player
from keel.reporting.page.plot import Line, axis, plot
from keel.reporting.page.thinning import kept
from keel.wording import capitalised, duration, listed, number, typeset

STYLES = Path(keel.__file__).parent / "reporting"
HOSTILE = "</script><script>alert(1)</script>\"'&<b>"


class Read(Page):
    """What a reader sees of a page in a file."""

    unread = ("style", "script")

    def __init__(self, path: Path) -> None:
        super().__init__(path.read_text(encoding="utf-8"))


def crystal(seed: int, n: int = 40, a: float = 12.0) -> Frame:
    rng = np.random.default_rng(seed)
    return Frame(rng.choice([8, 14], size=n), rng.uniform(-a, 2 * a, (n, 3)), a * np.eye(3), np.ones(3, dtype=bool))


def film(name: str = "before the failure", frames: int = 5, n: int = 40) -> Film:
    first = crystal(0, n)
    moves = np.random.default_rng(1).normal(0, 0.05, (frames, n, 3)).cumsum(axis=0)
    return Film(name, tuple(first.replace(positions=first.positions + m) for m in moves),
                tuple(2.0 * k for k in range(frames)))  # fmt: skip


def wave(name: str = "share", points: int = 500, phase: float = 0.0, band: bool = False) -> Curve:
    x = np.linspace(0, 10, points)
    y = np.sin(x + phase)
    return Curve(name, x, y, "time (fs)", "height (eV/angstrom^3)", *((y - 0.2, y + 0.2) if band else ()))


def everything(potential: str = "net", phase: float = 0.0) -> Assessment:
    """All outcomes, numbers that are not finite, gaps, bands, walls, films, and what is empty."""
    r = np.linspace(0.1, 8, 300)
    gaps = replace(wave("gaps", phase=phase), y=np.where(np.arange(500) % 100 < 3, np.nan, wave(phase=phase).y))
    wall = Curve("O-Si", r, 4 * ((2 / r) ** 12 - (2 / r) ** 6), "r (angstrom)", "energy (eV)")
    nothing = Curve("nothing", np.empty(0), np.empty(0), "a", "b")
    nowhere = Curve("nowhere", r, np.full(300, np.inf), "c", "d")
    metrics = (Metric("jump", 3.0, "meV", 1.0), Metric("drift", 0.25, "meV", 1.0), Metric("time", float("nan"), "fs"))
    return Assessment(
        potential,
        (
            CheckResult("smoothness", metrics, (wave(band=True, phase=phase), gaps), "failed", "it jumps by 3 meV"),
            CheckResult("dimers", (Metric("depth", float("inf"), "eV", 2.0),), (wall, nothing, nowhere), "passed", "ok",
                        (film(), Film("empty", ()))),
            CheckResult("phonons", (), (), "skipped", "no crystal"),
            CheckResult("phonons", (Metric("lowest", -1.0, "THz"),), (), "noted", "look at them"),
        ),
        {"Cutoff": "6 angstrom"}, {"Structures": "silica"}, {"keel": "0"}, 125.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def single(tmp_path_factory) -> Path:
    return write_assessment([everything()], tmp_path_factory.mktemp("single") / "assessment.html")


@pytest.fixture(scope="module")
def several(tmp_path_factory) -> Path:
    other = everything("other", 1.0)
    shorter = replace(other, results=(*other.results[:2], CheckResult("locality", (), (), "passed", "it ends")))
    return write_assessment([everything(), shorter], tmp_path_factory.mktemp("several") / "comparison.html")


@pytest.fixture(scope="module", params=["single", "several"])
def page(request) -> Read:
    return Read(request.getfixturevalue(request.param))


def test_identifiers_are_unique_and_references_have_targets(page):
    ids = Counter(a["id"] for a in page.having("id"))
    assert [name for name, count in ids.items() if count > 1] == []
    values = " ".join(value for _, a in page.tags for value in a.values())
    targets = {a["href"][1:] for a in page.having("href") if a["href"].startswith("#")}
    targets |= set(re.findall(r"url\(#([^)]+)\)", values))
    assert len(targets) >= 5 and targets <= set(ids)


def test_nothing_is_fetched_and_only_the_page_s_own_program_runs(page):
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    text = "".join(f.read_text() for f in STYLES.rglob("*.[cj]s*"))
    assert "@import" not in text and "fetch(" not in text and "https:" not in text
    policy = next(a["content"] for a in page.having("http-equiv"))
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy and policy.count("unsafe-inline") == 1


def test_every_picture_has_words(page):
    pictures = [a for tag, a in page.tags if tag == "svg"]
    assert all(a.get("aria-hidden") == "true" or (a["role"] == "img" and len(a["aria-label"]) > 20) for a in pictures)
    assert sum("aria-label" in a for a in pictures) == sum(tag == "figure" for tag, _ in page.tags) >= 4
    assert sum(tag == "figcaption" for tag, _ in page.tags) == sum(tag == "figure" for tag, _ in page.tags)


def test_headings_tables_and_language(page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(a.get("scope") in ("col", "row") for tag, a in page.tags if tag == "th")
    assert sum(tag == "caption" for tag, _ in page.tags) == sum(tag == "table" for tag, _ in page.tags)
    assert next(a for tag, a in page.tags if tag == "html") == {"lang": "en"}


def test_the_assessment_page_tells_everything(single):
    text = Read(single).text
    for words in ("1 of 2 probes passed; smoothness failed.", "Without a limit: phonons. Not tested: phonons.",
                  "✗ failed", "✓ passed", "○ for information", "– not tested", "Phonons (2)", "It jumps by 3 meV",
                  "not found", "∞", "✗ beyond", "✓ within", "no limit", "6 Å", "2 min 5 s", "height (eV/Å³)", "−1",
                  "40 atoms",
                  "Shaded bands span", "not finite and left open", "logarithmic beyond", "lie beyond it",
                  "The curve “nothing” has no points.", "The film “empty” has no frame with atoms."):  # fmt: skip
        assert words in text, words


def test_the_comparison_has_all_potentials_of_all_probes(several):
    text = Read(several).text
    for words in ("Comparison of 2 potentials", "· not run", "Locality", "Phonons (2)", "jump 3 meV", "other: share",
                  "2 of 3 probes passed", "other: before the failure"):  # fmt: skip
        assert words in text, words
    legends = re.findall(r"<li><svg.*?</svg>(.*?)</li>", several.read_text())
    # The wall is the same for both: it is drawn once.
    assert legends.count("O-Si") == 1 and "net: share" in legends


def test_numbers_go_to_json_and_csv_and_come_back(single, several):
    content = json.loads(several.with_suffix(".json").read_text(), parse_constant=pytest.fail)
    assert [a["potential"] for a in content["assessments"]] == ["net", "other"]
    (back,) = read_assessments(single.with_suffix(".json"))
    first = everything()
    assert [r.to_dict() for r in back.results] == [r.to_dict() for r in first.results]
    assert (back.verdict, back.wall_seconds, back.description) == (first.verdict, 125.0, dict(first.description))
    again = write_assessment([back], single.with_name("again.html"))
    assert again.with_suffix(".csv").read_text() == single.with_suffix(".csv").read_text()
    rows = list(csv.DictReader(single.with_suffix(".csv").open()))
    assert len(rows) == 5
    assert (rows[0]["metric"], rows[0]["value"], rows[0]["limit"], rows[0]["passed"]) == ("jump", "3", "1", "False")
    assert rows[2]["value"] == "" and rows[2]["limit"] == ""


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"assessments": [1]}', '{"assessments": [{"potential": ""}]}'])
def test_a_damaged_file_is_named(tmp_path, text):
    path = tmp_path / "assessment.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=re.escape(str(path))):
        read_assessments(path)


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ConfigError, match="at least one"):
        write_assessment([], tmp_path / "a.html")
    with pytest.raises(ConfigError, match="'net'"):
        write_assessment([everything(), everything()], tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []


def test_hostile_names_stay_text(tmp_path):
    curve = replace(wave(HOSTILE), x_label=HOSTILE, y_label=HOSTILE)
    result = CheckResult(HOSTILE, (Metric(HOSTILE, 1.0, HOSTILE, 2.0),), (curve,), "passed", HOSTILE, (film(HOSTILE),))
    words = {HOSTILE: HOSTILE}
    assessments = [Assessment(name, (result,), words, words, words) for name in (HOSTILE, "other" + HOSTILE)]
    for given_ in (assessments[:1], assessments):
        page = Read(write_assessment(given_, tmp_path / "page.html"))
        assert Counter(tag for tag, _ in page.tags)["script"] == 1
        assert "b" not in {tag for tag, _ in page.tags}
        assert page.text.count("alert(1)") > 5
        drawn = [json.loads(a["data-plot"]) for a in page.having("data-plot")]
        assert drawn[0]["curves"][0]["name"].startswith(HOSTILE)


def test_a_page_of_many_long_films_and_curves_stays_small(tmp_path):
    frames = film(frames=1, n=200).frames
    long = Film("long", frames * 400)
    curves = tuple(
        replace(wave(f"{k}", 600, band=True), y=np.random.default_rng(k).normal(size=600)) for k in range(20)
    )
    results = tuple(CheckResult(f"probe {k}", (), curves, "passed", "fine", (long,)) for k in range(20))
    path = write_assessment([Assessment("big", results)], tmp_path / "big.html")
    assert path.stat().st_size < 10e6
    text = Read(path).text
    assert "One frame in 7 is shown" in text


def test_thirty_frames_of_200_atoms_in_each_of_20_films_are_all_there(tmp_path):
    results = tuple(CheckResult(f"{k}", (), (), "passed", "fine", (film(frames=30, n=200),)) for k in range(20))
    path = write_assessment([Assessment("films", results)], tmp_path / "films.html")
    films = [json.loads(a["data-film"]) for a in Read(path).having("data-film")]
    assert [f["frames"] for f in films] == [30] * 20 and {len(f["kind"]) for f in films} == {200}
    assert path.stat().st_size < 2e6


def test_programs_are_small():
    assert sum((STYLES / name).stat().st_size for name in ("page/viewer.js", "page/plots.js")) < 20_000
    assert "</" not in (STYLES / "page" / "viewer.js").read_text() + (STYLES / "page" / "plots.js").read_text()


# --- curves ---------------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(st.integers(1, 3000), st.integers(1, 50), st.integers(0, 10**6), st.booleans())
def test_thinning_keeps_ends_extremes_and_gaps(length, runs, seed, gaps):
    rng = np.random.default_rng(seed)
    x, y = np.arange(float(length)), rng.normal(size=length)
    if gaps:
        y[rng.random(length) < 0.1] = np.nan
    keep = kept([x, y], runs)
    assert len(keep) <= max(4 * runs, 5 * runs) and (np.diff(keep) > 0).all()
    assert {0, length - 1} <= set(keep.tolist())
    assert np.isnan(y).any() == np.isnan(y[keep]).any()
    if np.isfinite(y).any():
        assert np.nanmin(y) == np.nanmin(y[keep]) and np.nanmax(y) == np.nanmax(y[keep])


@settings(max_examples=80)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=40), st.booleans())
def test_axes_hold_all_finite_values_and_label_them(values, steep):
    array = np.array(values, dtype=np.float64)
    found = axis(array, 10.0, 400.0, steep=steep)
    assert found.b > 0 and np.isfinite([found.a, found.b]).all()
    places = found.place(array[np.isfinite(array)])
    if not found.overflow:
        assert ((places > 9.9) & (places < 400.1)).all()
    ticks = found.place(np.array(found.ticks))
    assert len(ticks) <= 15 and ((ticks > 9.9) & (ticks < 400.1)).all()
    assert len(set(found.labels())) == len(found.ticks)


def test_places_by_hand():
    found = axis(np.array([0.0, 10.0]), 100.0, 200.0)
    assert found.ticks == (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)
    assert found.place(np.array([0.0, 5.0])).tolist() == [100.0, 150.0]
    assert axis(np.array([0.1, 0.3]), 0, 1).labels() == ["0.10", "0.15", "0.20", "0.25", "0.30"]
    assert axis(np.array([-12345.001, -12345.0]), 0, 1).labels()[-1] == "−12345.0000"
    assert axis(np.array([0.0, 3e-7]), 0, 1).labels()[1] == "10⁻⁷"


def test_a_point_between_gaps_is_still_drawn():
    curve = Curve("dot", np.arange(3.0), np.array([np.nan, 1.0, np.nan]), "x", "y")
    picture = plot([Line("dot", curve, 1)])
    assert re.search(r'class="line" d="M[\d. ]+h0"', picture.svg)
    assert json.loads(picture.data)["curves"][0]["y"] == [None, 1.0, None]


# --- films ----------------------------------------------------------------------------------------------------------


def positions_of(data: str) -> np.ndarray:
    import base64

    content = json.loads(data)
    raw = np.frombuffer(base64.b64decode(content["positions"]), dtype="<i2").astype(float)
    raw[raw == ABSENT] = np.nan
    return content["step"] * raw.reshape(content["frames"], -1, 3)


def test_films_are_wrapped_and_rounded_to_a_thousandth():
    original = film()
    decoded = positions_of(player(original, "f", "f").data)
    assert decoded.shape == (5, 40, 3)
    assert np.abs(decoded).max() <= 6.0 + 1e-3
    first, last = original.frames[0].positions, original.frames[-1].positions
    for k, frame in enumerate(original.frames):
        # Up to whole cells and the middle, which all atoms share.
        moved = decoded[k] - decoded[k, 0] - (frame.positions - frame.positions[0])
        assert np.abs(moved - 12.0 * np.round(moved / 12.0)).max() < 2.1e-3
    assert not np.array_equal(first, last)


def test_what_cannot_be_drawn_is_said():
    base = film(frames=2, n=600)
    broken = base.frames[1].positions.copy()
    broken[3] = np.nan
    free = [f.replace(pbc=np.zeros(3, dtype=bool), cell=np.zeros((3, 3))) for f in base.frames]
    broken[5] = 1e7
    shown = player(Film("f", (free[0], free[1].replace(positions=broken))), "f", "f", most_atoms=598)
    assert "2 atoms far from the middle are not shown" in shown.note
    decoded = positions_of(shown.data)
    assert np.isfinite(decoded).all() and decoded.shape[1] == 598
    small = [f.replace(numbers=f.numbers[:40], positions=f.positions[:40]) for f in free]
    shown = player(Film("f", (small[0], small[1].replace(positions=broken[:40]))), "f", "f")
    assert "2 atoms left the view or have no finite position" in shown.note
    assert shown.svg.count("<circle") == 38


def test_bonds_and_marks():
    water = Frame(np.array([8, 1, 1, 18]), np.array([[0, 0, 0], [0.96, 0, 0], [0, 0.96, 0], [4.0, 0, 0]]))
    shown = player(Film("water", (water,)), "w", "w")
    assert shown.svg.count('class="bond"') == 2 and 'class="ring"' not in shown.svg
    fused = water.replace(positions=np.array([[0, 0, 0], [0.4, 0, 0], [0, 0.96, 0], [4.0, 0, 0]]))
    shown = player(Film("fused", (fused,)), "w", "w")
    assert shown.svg.count('class="ring"') == 2 and "H–O, 0.40 Å, 41 % of" in shown.note
    assert json.loads(shown.data)["pair"] == [0, 1]
    assert colour_of(8) == "#ff0d0d"


@pytest.mark.parametrize("pbc", [(True, True, False), (False, False, False)])
def test_slabs_molecules_and_changing_cells(pbc):
    cell = np.diag([6.0, 7.0, 0.0])
    slab = Frame(np.array([14, 8]), np.array([[13.0, 0, 0], [0.0, 8, 30]]), cell, np.array(pbc))
    decoded = positions_of(player(Film("slab", (slab, slab.replace(cell=1.1 * cell))), "s", "s").data)
    assert np.isfinite(decoded).all()
    assert (np.ptp(decoded[0, :, 0]) <= 6.0) == pbc[0] and np.ptp(decoded[0, :, 2]) == pytest.approx(30, abs=2e-3)


# --- words ----------------------------------------------------------------------------------------------------------


def test_words():
    values = (0.0, 1.5, -2.0, 123456.0, 1e-7, -1e20, 0.00203, 99999.0, float("-inf"), None)
    words = ("0", "1.5", "−2", "1.235 × 10⁵", "10⁻⁷", "−10²⁰", "0.00203", "99999", "−∞", "not found")
    assert tuple(map(number, values)) == words
    assert typeset("eV/angstrom^3, THz^-1") == "eV/Å³, THz⁻¹"
    assert listed(["a", "b", "c"]) == "a, b and c" and listed(["a"]) == "a"
    assert [duration(s) for s in (0.52, 59, 200, 7500)] == ["0.52 s", "59 s", "3 min 20 s", "2 h 5 min"]
    assert capitalised("force error") == "Force error" and capitalised("g(r) of O") == "g(r) of O"


def test_the_number_that_decided():
    def decided(*metrics: Metric) -> str:
        return deciding(CheckResult("", metrics, (), "noted", ""))

    assert decided(Metric("a", 1.0, "eV"), Metric("b", 2.0, "eV")) == "a 1 eV"
    assert decided(Metric("a", 1.0, "eV", 2.0), Metric("b", 2.0, "eV", 3.0), Metric("c", 9.0)) == "a 1 eV"
    assert decided(Metric("a", 3.0, "eV", 2.0), Metric("b", 8.0, "eV", 3.0), Metric("c", 9.0)) == "b 8 eV"
    assert decided(Metric("a", 3.0, "eV", 2.0), Metric("b", 1e-9, "eV", 0.0)) == "b 10⁻⁹ eV"
    assert decided(Metric("a", 9.0, "", 2.0), Metric("b", float("nan"), "eV", 3.0)) == "b not found eV"
    assert decided() == ""


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [0, 1])
def test_contrast(dark):
    """WCAG 2.1, 1.4.3: 4.5 for text; 1.4.11: 3 for lines."""
    colours: dict[str, str] = {}
    for name in ("page/page.css", "assessment/assessment.css"):
        blocks = re.findall(r":root \{(.*?)\}", (STYLES / name).read_text(), re.DOTALL)
        colours |= dict(re.findall(r"--([\w-]+): (#\w{6})", blocks[dark]))

    def contrast(a: str, b: str) -> float:
        low, high = sorted((luminance(colours[a]), luminance(colours[b])))
        return (high + 0.05) / (low + 0.05)

    for ground in ("paper", "raised"):
        for text in ("ink", "quiet", "link", "passed", "failed", "noted", "skipped"):
            assert contrast(text, ground) >= 4.5, (text, ground)
        for line in ("ring", *(f"c{k}" for k in range(9))):
            assert contrast(line, ground) >= 3, (line, ground)


# --- with real probes, and as a user sees it ------------------------------------------------------------------------


def test_real_probes(tmp_path):
    argon = Frame(np.full(4, 18), 5.26 * np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]),
                  5.26 * np.eye(3), np.ones(3, dtype=bool))  # fmt: skip
    potential = keel.LennardJones(cutoff=6.0)
    results = (force_consistency(potential, [argon]), equation_of_state(potential, argon))
    file = tmp_path / "lj.json"
    potential.save(str(file))
    about = described(potential, file)
    assert about["Type"] == "LennardJones" and about["Cutoff"] == "6 angstrom" and len(about["SHA-256"]) == 64
    path = write_assessment([Assessment("Lennard-Jones", results, about)], tmp_path / "sub" / "page.html")
    assert "2 of 2 probes passed; none failed." in Read(path).text
    (back,) = read_assessments(path.with_suffix(".json"))
    assert [r.outcome for r in back.results] == ["passed", "passed"]


@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(360, True), (1280, False)])
def test_in_a_browser(several, width, dark):
    with Browser() as browser:
        browser.open(several, width, 740, dark)
        assert browser.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        tip = "document.querySelector('.plot .tip')"
        key = "document.querySelector('.plot .stage').dispatchEvent(new KeyboardEvent('keydown', {key: '%s'}))"
        browser.evaluate(key % "End")
        assert not browser.evaluate(f"{tip}.hidden")
        assert "time (fs): 10" in browser.evaluate("document.querySelector('.plot .spoken').textContent")
        assert "net: share" in browser.evaluate(f"{tip}.textContent")
        browser.evaluate("document.querySelector('.plot .legend button').click()")
        browser.evaluate(key % "Home")
        assert "net: share" not in browser.evaluate(f"{tip}.textContent")
        assert browser.evaluate("document.querySelectorAll('.film.live canvas').length") == 2
        slider = "document.querySelector('.film input')"
        assert browser.evaluate(f"{slider}.value") == "4"
        browser.evaluate("document.querySelector('.film button').click()")
        assert browser.evaluate(f"{slider}.value") == "0"
        browser.evaluate("document.querySelector('.film canvas').scrollIntoView({behavior: 'instant'})")
        painted = (
            "new Promise(done => setTimeout(() => { const c = document.querySelector('.film canvas'); done("
            "c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0)) }, 300))"
        )
        assert browser.evaluate(painted)
        assert browser.errors() == []
