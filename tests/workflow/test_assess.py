"""`keel assess`: every probe passes on a sound teacher, the right ones fail on broken potentials, nothing is lost."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from typer.testing import CliRunner

import keel
from broken import Broken, HalfPrecision, NonConservative, SignFlip, Truncated
from keel.atoms.conversion import as_frame
from keel.cli import app
from keel.config import AssessmentSettings
from keel.errors import ConfigError, DataError
from keel.evaluation import CheckResult, Curve, Film, Metric, Sample, relaxed
from keel.evaluation.battery import BATTERY
from keel.evaluation.exact.conservation import NVE
from keel.evaluation.subject import Subject
from keel.potentials.external.opening import Opening
from keel.results.assessment import GroupResults
from keel.workflow.assess import Assessing, Material, assess, crystals
from waiting import wait_for

EAM = keel.EAM.from_elements(["Mo"], cutoff=5.0)
EAM.set_offsets({42: -430.0})
CRYSTAL = relaxed(EAM, as_frame(bulk("Mo", "bcc", a=3.16)))
CUBE = as_frame(bulk("Mo", "bcc", a=(2 * CRYSTAL.volume) ** (1 / 3), cubic=True)).repeated((2, 2, 2))
SUBJECT = Subject(
    potential=EAM,
    frames=(CUBE,),
    starts=(CUBE, CUBE),
    few=(CUBE.repeated((2, 1, 1)),),
    crystal=CRYSTAL,
    elements=(42,),
    settings=AssessmentSettings(
        temperatures=(300.0, 1000.0), pressures=((0.0, 10.0),), compression=(0.9,), length_fs=300.0
    ),
)


def outcomes(subject: Subject, groups: list[str]) -> dict[str, str]:
    results = [r for name in groups for r in BATTERY[name](subject, lambda done, total: None)]
    return {r.name: r.outcome for r in results}


def failed(subject: Subject, groups: list[str]) -> set[str]:
    return {name for name, outcome in outcomes(subject, groups).items() if outcome == "failed"}


@pytest.fixture
def short_drift(monkeypatch):
    """Simulate the conservation of energy for a fifth of the time."""
    monkeypatch.setattr("keel.evaluation.battery.NVE", NVE.replace(length_fs=NVE.length_fs / 5))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A potential file and two structures."""
    EAM.save(str(tmp_path / "mo.json"))
    keel.write(tmp_path / "data.extxyz", [CRYSTAL, CUBE])
    return tmp_path / "mo.json", tmp_path / "data.extxyz"


QUICK = AssessmentSettings(probes=["clusters", "stability"], length_fs=20.0, temperatures=[300.0], starts=2)


class TestBattery:
    def test_a_sound_teacher_passes_every_probe(self):
        # Which programs are installed is another matter.
        groups = [name for name in BATTERY if name not in ("equilibrium", "elsewhere")]
        found = outcomes(replace(SUBJECT, reference=(CUBE,)), groups)
        assert found.pop("accuracy") == found.pop("errors by contact") == "skipped"
        assert found.pop("diffusion") == "noted"
        # A crystal that does not move has no spread to compare with.
        assert found.pop("pair structure") != "skipped" and found.pop("bond angles") != "skipped"
        assert set(found.values()) == {"passed"}
        assert len(found) == 13

    def test_and_its_equilibrium(self):
        found = outcomes(replace(SUBJECT, beside=EAM), ["equilibrium"])
        if find_spec("phonopy") is None:
            assert found.pop("phonons") == "skipped"
        assert len(found) >= 4 and set(found.values()) == {"passed"}

    def test_without_phonopy_phonons_are_skipped(self, monkeypatch):
        for name in [m for m in sys.modules if m.split(".")[0] == "phonopy"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "phonopy", None)
        results = BATTERY["equilibrium"](SUBJECT, lambda done, total: None)
        assert {r.name for r in results if r.outcome == "skipped"} == {"phonons"}
        assert "pip install 'mlip-keel[assess]'" in next(r.verdict for r in results if r.name == "phonons")

    @pytest.mark.parametrize(
        ("broken", "expected"),
        [
            (SignFlip(EAM), {"diatomics"}),
            (Truncated(EAM), {"smoothness", "NVE drift", "diatomics", "trimers"}),
            (
                NonConservative(EAM, 0.05),
                {"force consistency", "Jacobian symmetry", "NVE drift", "diatomics", "trimers"},
            ),
            (
                HalfPrecision(EAM),
                {"force consistency", "Jacobian symmetry", "smoothness", "invariance", "diatomics", "trimers"},
            ),
        ],
        ids=["sign flip", "truncated", "not conservative", "float16"],
    )
    def test_exactly_the_right_probes_fail(self, broken, expected, short_drift):
        assert failed(replace(SUBJECT, potential=broken), ["exact", "clusters"]) == expected

    def test_a_hopeless_potential_gets_its_page(self):
        """Nothing it says is finite, and no probe stops the others."""

        class Hopeless(Broken):
            def atomic_energies(self, graph, vectors):
                return float("nan") * super().atomic_energies(graph, vectors)

        settings = SUBJECT.settings.replace(length_fs=50.0)
        hopeless = replace(SUBJECT, potential=Hopeless(EAM), reference=(CUBE,), settings=settings)
        found = outcomes(hopeless, [name for name in BATTERY if name not in ("accuracy", "contacts", "elsewhere")])
        if find_spec("phonopy") is None:
            assert found.pop("phonons") in ("failed", "skipped")
        assert set(found.values()) == {"failed"} and len(found) >= 18

    def test_errors_against_labels(self):
        labelled = relaxed(EAM, CUBE.replace(positions=CUBE.positions + 0.01), cell=False)
        off = labelled.replace(energy=labelled.energy + 0.016 * len(labelled))
        (result,) = BATTERY["accuracy"](replace(SUBJECT, frames=(labelled, off)), lambda *_: None)
        assert result["MAE of energy"] == pytest.approx(8.0, abs=1e-2)
        assert result["MAE of forces"] == pytest.approx(0.0, abs=1e-3)


class TestCommand:
    def run(self, *arguments: object) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["assess", *map(str, arguments)])
        return done.exit_code, done.output + str(done.exception or "")

    def test_writes_the_page_and_goes_on(self, files, tmp_path):
        potential, data = files
        arguments = [potential, "--data", data, "--out", tmp_path / "out", "--probes", "clusters,accuracy"]
        code, text = self.run(*arguments)
        assert code == 0 and "assessment.html" in text
        page = (tmp_path / "out" / "assessment.html").read_text()
        assert "diatomics" in page and "<html" in page
        (found,) = json.loads((tmp_path / "out" / "assessment.json").read_text())["assessments"]
        assert [r["name"] for r in found["results"]] == ["accuracy", "diatomics", "trimers"]
        stages = sorted((tmp_path / "out").rglob("done.json"))
        before = [p.stat().st_mtime_ns for p in stages]
        assert self.run(*arguments)[0] == 0
        assert [p.stat().st_mtime_ns for p in stages] == before

    def test_what_is_finished_is_shown_without_opening_anything(self, files, tmp_path, monkeypatch):
        arguments = ([Opening(str(files[0]))], Material(files[1]), QUICK, tmp_path / "out")
        first = assess(*arguments).with_suffix(".csv").read_text()
        shown = json.loads((tmp_path / "out" / "assessment.json").read_text())["assessments"][0]

        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("opened again")

        monkeypatch.setattr(Opening, "open", refuse)
        monkeypatch.setattr(Assessing, "_frames", refuse)
        assert assess(*arguments).with_suffix(".csv").read_text() == first
        again = json.loads((tmp_path / "out" / "assessment.json").read_text())["assessments"][0]
        assert again["description"] == shown["description"] and again["description"]["Type"] == "EAM"
        assert again["structures"] == shown["structures"] and again["structures"]["Structures"] == str(files[1])

    def test_compares_several(self, files, tmp_path):
        potential, data = files
        code, _ = self.run(
            potential,
            "ase.calculators.lj.LennardJones",
            "--data",
            data,
            "--probes",
            "accuracy",
            "--out",
            tmp_path / "out",
        )
        assert code == 0
        content = json.loads((tmp_path / "out/assessment.json").read_text())
        assert [a["potential"] for a in content["assessments"]] == ["mo", "ase.calculators.lj.LennardJones"]
        (found,) = content["comparisons"]
        assert found["conditions"] == [] and "no simulations of “mo” and “ase.calculators.lj" in found["verdict"]

    def test_the_first_is_the_baseline_of_the_others(self, files, tmp_path):
        labelled = relaxed(EAM, CUBE.replace(positions=CUBE.positions + 0.01), cell=False)
        keel.write(files[1], [labelled])
        keel.EAM.from_elements(["Mo"], cutoff=4.0).save(str(tmp_path / "short.json"))
        code, _ = self.run(
            files[0], tmp_path / "short.json", "--data", files[1], "--probes", "stability,accuracy", "--starts", 1,
            "--length-fs", 10, "--temperatures", 300, "--out", tmp_path / "out",
        )  # fmt: skip
        (found,) = json.loads((tmp_path / "out/assessment.json").read_text())["comparisons"]
        assert code == 0 and (found["baseline"], found["potential"], found["left_out"]) == ("mo", "short", [])
        assert [c["condition"] for c in found["conditions"]] == ["300 K"] and found["effect"] == "untested"
        forces, energy = found["errors"]
        assert forces["baseline"] == pytest.approx(0, abs=1e-3) and energy["difference"]["value"] > 0
        assert found["verdict"] in (tmp_path / "out/assessment.html").read_text()

    def test_random_weights_have_learnt_nothing(self, tmp_path):
        keel.CGCNN(elements=["Cu"], features=8, convolutions=1).save(str(tmp_path / "new.safetensors"))
        probes = ("--probes", "clusters,compression", "--out", tmp_path / "out")
        assert self.run(tmp_path / "new.safetensors", *probes)[0] == 0
        code, text = self.run(tmp_path / "new.safetensors", *probes, "--strict")
        assert code == 1
        assert "Nothing learnt: two atoms neither repel nor bind each other" in " ".join(text.split())
        assert "Nothing learnt" in (tmp_path / "out" / "assessment.html").read_text()

    def test_runs_that_are_too_short_are_not_tested(self, files, tmp_path):
        assess([Opening(str(files[0]))], Material(files[1]), QUICK, tmp_path / "out")
        (found,) = json.loads((tmp_path / "out" / "assessment.json").read_text())["assessments"]
        outcomes = {r["name"]: r["outcome"] for r in found["results"]}
        assert outcomes == {"MD stability": "skipped", "diatomics": "passed", "trimers": "passed"}
        assert found["verdict"] == "2 of 2 probes passed; none failed."
        assert '<span aria-hidden="true">–</span> not tested' in (tmp_path / "out" / "assessment.html").read_text()

    def test_without_data_crystals_are_probed(self, tmp_path, short_drift):
        code, _ = self.run(
            "ase.calculators.emt.EMT", "--elements", "Cu", "--probes", "exact", "--out", tmp_path / "out"
        )
        assert code == 0

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["nowhere.json"], "there is no such file"),
            (["no.such.Calculator"], "cannot be imported"),
            (["ase.calculators.emt.EMT"], "name structures with --data, or some elements with --elements"),
            (["x.json", "--probes", "dreams"], "there are no probes dreams; choose from stability"),
            (["x.json", "--probes", ","], "no probes are named; choose from stability"),
            (["x.json", "--temperatures", "hot"], "temperatures"),
            (["ase.calculators.emt.EMT", "--elements", "Cu", "--device", "no"], "the device 'no' cannot be used here"),
            (["x.json", "--arguments", "["], "not JSON"),
            (["x.json", "--only", "part=test"], "--only selects from the frames of --data, which is not given"),
            (["x.json", "--arguments", "[1]"], "name each argument"),
        ],
    )
    def test_a_mistake_is_one_sentence(self, arguments, sentence, tmp_path):
        code, text = self.run(*arguments, "--out", tmp_path / "out")
        assert code != 0 and sentence in text

    def test_in_processes_of_their_own(self, files, tmp_path):
        material = Material(files[1])
        openings = [Opening(str(files[0]))]
        pages = [assess(openings, material, QUICK, tmp_path / str(n), workers=n) for n in (1, 2)]
        assert len({page.with_suffix(".csv").read_text() for page in pages}) == 1

    def test_a_killed_one_goes_on(self, files, tmp_path):
        command = [sys.executable, "-m", "keel", "assess", str(files[0]), "--data", str(files[1]), "--starts", "2"]
        command += ["--length-fs", "40", "--temperatures", "300", "--out", str(tmp_path / "out"), "--probes"]
        command += ["stability,clusters"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment)
        wait_for(lambda: any(tmp_path.rglob("done.json")), process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        finished = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("done.json")}
        assert finished
        subprocess.run(command, check=True, capture_output=True, env=environment)
        assert all(p.stat().st_mtime_ns == t for p, t in finished.items())
        assert (tmp_path / "out" / "assessment.html").is_file()


class TestMaterial:
    def test_the_crystal_is_the_smallest_or_the_one_given(self, files, tmp_path):
        settings = AssessmentSettings(probes=["accuracy"])
        opening = Opening(str(files[0]))
        assert len(Assessing(opening, Material(files[1]), settings, tmp_path).subject.crystal) == 1
        given = Material(files[1], crystal=tmp_path / "own.extxyz")
        keel.write(tmp_path / "own.extxyz", [CUBE])
        assert len(Assessing(opening, given, settings, tmp_path).subject.crystal) == len(CUBE)

    def test_groups_of_the_data_are_chosen(self, files, tmp_path):
        frames = [f.replace(info={"part": name}) for f, name in ((CRYSTAL, "train"), (CUBE, "test"))]
        keel.write(tmp_path / "parts.extxyz", frames)
        one, both = (Material(tmp_path / "parts.extxyz", only=only) for only in ("part=test", None))
        chosen = Assessing(Opening(str(files[0])), one, AssessmentSettings(), tmp_path)
        assert [len(f) for f in chosen.subject.frames] == [len(CUBE)]
        assert chosen._structures()["Structures"].endswith("parts.extxyz, part=test")
        assert one.identity != both.identity and "only" not in both.identity
        unknown = replace(chosen, material=replace(one, only="part=val"))
        with pytest.raises(ConfigError, match="--only: no frame has part 'val'"):
            unknown.subject  # noqa: B018

    def test_an_atom_alone_is_no_crystal_and_no_start(self, files, tmp_path):
        alone = keel.Frame(CUBE.numbers[:1], np.zeros((1, 3)), np.eye(3) * 20, np.ones(3, bool), energy=0.0)
        keel.write(tmp_path / "more.extxyz", [alone, *keel.read(files[1])])
        settings = AssessmentSettings(probes=["accuracy"])
        subject = Assessing(Opening(str(files[0])), Material(tmp_path / "more.extxyz"), settings, tmp_path).subject
        assert subject.crystal.volume < 100 and all(f.volume < 8000 for f in (*subject.starts, *subject.few))
        assert len(subject.frames) == len(keel.read(files[1])) + 1

    def test_crystals_of_elements(self):
        assert [f.formula for f in crystals(["Cu", "Si"])] == ["Cu", "Si2"]
        with pytest.raises(DataError, match="no simple crystal is known of P; give structures with --data"):
            crystals(["P"])

    def test_another_file_of_the_same_name_is_measured_again(self, files, tmp_path):
        potential, data = files
        settings = AssessmentSettings(probes=["accuracy"])
        run = Assessing(Opening(str(potential)), Material(data), settings, tmp_path / "out")
        run.folder("accuracy")
        keel.EAM.from_elements(["Mo"], cutoff=4.5).save(str(potential))
        run.folder("accuracy")
        assert len(list((tmp_path / "out").rglob("done.json"))) == 2


def test_results_survive_a_task(tmp_path):
    values = [0.0, float("nan"), 2.0]
    result = CheckResult(
        "probe",
        (Metric("m", float("nan"), "eV", 1.0), Metric("n", 2.0)),
        (Curve("c", CRYSTAL.cell[0], CRYSTAL.cell[1] * values, "x", "y", low=CRYSTAL.cell[2]),),
        "failed",
        "it fails",
        (Film("end", (CUBE, CUBE), (1.0, 2.0)),),
        (Sample("time to failure", "fs", CRYSTAL.cell[0] * values, ("a", "b", "a"), causes=("fused", None, None)),),
    )
    GroupResults([result], {"Type": "EAM"}, {"Crystal": "Mo"}).write(tmp_path)
    group = GroupResults.read(tmp_path)
    (back,) = group.results
    assert (group.potential, group.structures) == ({"Type": "EAM"}, {"Crystal": "Mo"})
    assert back.to_dict() == result.to_dict()
    assert back.films[0].times == (1.0, 2.0) and len(back.films[0].frames) == 2
    assert abs(back.films[0].frames[1].positions - CUBE.positions).max() < 1e-6
