"""VASP's vasprun.xml and OUTCAR: labels, electronic steps, files that were cut off, what is held fixed."""

import gzip
import re

import numpy as np
import pytest

import keel
import outputs
from keel.atoms.formats.vasp_xml import MACHINE_LEARNED
from keel.atoms.labelling.convergence import UNCONVERGED
from keel.atoms.read import BadFrames, iter_frames
from keel.atoms.record import LabelKeys
from keel.atoms.units import GPA
from keel.errors import DataError

TRUE = outputs.frames(4)
CONVERGED, NOT = (5.0, 0.3, 5e-5), (5.0, 0.9, 0.3)
"""Changes before the last of four electronic steps, of which the last is below EDIFF or not."""


def xml(*changes, **options):
    steps = [outputs.ionic_step(f, c, options.get("pressure", 0.0)) for f, c in zip(TRUE, changes, strict=False)]
    return outputs.vasprun(steps, TRUE[0], **options)


def out(*converged, **options):
    steps = [outputs.outcar_step(f, k, c) for k, (f, c) in enumerate(zip(TRUE, converged, strict=False), 1)]
    return outputs.outcar(steps, TRUE[0], **options)


def assert_labels(frame, true, digits=1e-6):
    assert frame.energy == pytest.approx(true.energy, abs=1e-7)
    np.testing.assert_allclose(frame.forces, true.forces, atol=digits)
    np.testing.assert_allclose(frame.stress, true.stress, atol=1e-8)
    np.testing.assert_allclose(frame.positions, true.positions, atol=digits)


@pytest.mark.parametrize("name", ["vasprun.xml", "relax1.vasprun.xml", "vasprun.xml.relax2.gz", "run.xml", "OUTCAR"])
@pytest.mark.parametrize("compressed", [False, True])
def test_labels_under_any_name(tmp_path, name, compressed):
    text = out(True, True, True) if name == "OUTCAR" else xml(CONVERGED, CONVERGED[1:], CONVERGED)
    path = tmp_path / (name + ".gz" * (compressed and not name.endswith(".gz")))
    path.write_bytes(gzip.compress(text.encode()) if compressed or name.endswith(".gz") else text.encode())
    frames = keel.read(path)
    assert len(frames) == 3 and all(f.pbc.all() and not f.remarks for f in frames)
    for frame, true in zip(frames, TRUE, strict=False):
        assert_labels(frame, true)
        assert frame.info["energy_extrapolated"] == pytest.approx(true.energy + outputs.SMEARING, abs=1e-7)


@pytest.mark.parametrize("name", ["OUTCAR.1", "relax.OUTCAR", "2-OUTCAR", "outcar"])
def test_an_outcar_without_its_first_line_is_known_by_its_name(tmp_path, name):
    (tmp_path / name).write_text(out(True).partition("\n")[2])
    assert_labels(keel.read(tmp_path / name)[0], TRUE[0])


@pytest.mark.parametrize("name", ["vasprun.xml", "OUTCAR"])
def test_a_step_that_did_not_converge_has_no_labels(tmp_path, name):
    path = tmp_path / name
    path.write_text(xml(CONVERGED, NOT, CONVERGED, CONVERGED[1:]) if "xml" in name else out(True, False, True, True))
    frames = keel.read(path)
    assert [f.energy is not None for f in frames] == [True, False, True, True]
    assert frames[1].forces is None and frames[1].stress is None
    assert [f.remarks for f in frames] == [(), (f"{UNCONVERGED}: the labels are not used",), (), ()]
    taken = list(iter_frames(path, keys=LabelKeys(unconverged=True)))
    assert_labels(taken[1], TRUE[1])


@pytest.mark.parametrize(
    ("ediff", "changes", "converged"),
    [
        ("0.00010000", (5.0, 0.3, 5e-5), True),
        ("-0.00010000", (5.0, 0.3, 5e-5), True),
        ("0.00000000", (5.0, 0.3, 1e-8), True),  # EDIFF=1E-9 as it is printed.
        ("0.00010000", (5.0, 5e-5, 0.3), False),  # A step that happened to change little, and then STOPCAR.
        ("0.00000000", (5.0, 0.3, 5e-8), False),
    ],
)
@pytest.mark.parametrize("nelm", [4, 60])
def test_a_last_change_above_ediff_is_not_converged_whatever_the_number_of_steps(
    tmp_path, nelm, ediff, changes, converged
):
    path = tmp_path / "vasprun.xml"
    path.write_text(xml(CONVERGED, changes, nelm=nelm).replace("0.00010000", ediff))
    assert (keel.read(path, skip_bad=tmp_path / "bad")[1].energy is not None) == converged


@pytest.mark.parametrize(("nelm", "nelmin", "converged"), [(1, 2, False), (60, 2, False), (60, 1, True)])
def test_one_electronic_step_is_enough_only_where_the_user_allows_it(tmp_path, nelm, nelmin, converged):
    path = tmp_path / "vasprun.xml"
    path.write_text(xml((), nelm=nelm).replace('<i name="EDIFF">', f'<i name="NELMIN">{nelmin}</i><i name="EDIFF">'))
    assert (keel.read(path)[0].energy is not None) == converged


@pytest.mark.parametrize(("changes", "converged"), [(CONVERGED, True), (NOT, False)])
def test_linear_response_after_the_ground_state_is_not_its_last_step(tmp_path, changes, converged):
    # As in ase/test/testdata/vasp/vasprun_dfpt.xml: the first and the last step of the ground state print all parts.
    path = tmp_path / "vasprun.xml"
    parts = '<i name="ewald"> -7.0 </i><i name="bandstr"> 1.0 </i>'
    first, *others = outputs.scf([TRUE[0].energy + c for c in (*changes, 0.0)]).splitlines(keepends=True)
    full = [line.replace("<energy>", "<energy>" + parts) for line in (first, others[-1])]
    response = outputs.scf([-30.1, -30.9, -26.6, -0.2])
    text = re.sub(r"(?s)<scstep>.*</scstep>\n", "", xml(changes))
    path.write_text(
        text.replace("<calculation>\n", "<calculation>\n" + "".join([full[0], *others[:-1], full[1], response]))
    )
    assert (keel.read(path)[0].energy is not None) == converged


def test_steps_without_electrons_are_not_those_of_dft(tmp_path):
    path = tmp_path / "vasprun.xml"
    path.write_text(re.sub(r"<scstep>.*</scstep>", "", xml(CONVERGED)))
    (frame,) = keel.read(path)
    assert frame.energy is None and "machine-learned" in frame.remarks[0]


def learned(frame, number):
    """Return a step of VASP's force field, in the form that dpdata and the users of such runs look for."""
    text = outputs.outcar_step(frame, number).replace("  FREE ENERGIE", "  ML FREE ENERGIE")
    text = text.replace("free  energy   TOTEN", "free  energy ML TOTEN").replace("(eV/Angst)", "(eV/Angst) (ML)")
    text = text.replace("energy  without", "ML energy  without").replace("energy(sigma", "ML energy(sigma")
    return text.partition("EDIFF is reached")[2].partition("\n")[2]


@pytest.mark.parametrize("first", ["ab initio", "learned"])
def test_steps_of_vasps_own_force_field_in_an_outcar(tmp_path, first):
    own, not_own = outputs.outcar_step(TRUE[0], 1), [learned(true, k) for k, true in enumerate(TRUE[1:], 2)]
    begin = f"{'-' * 39} Ionic step {1:8d}  {'-' * 43}\n"
    steps = [own, *not_own] if first == "ab initio" else [begin, *not_own, own]
    (tmp_path / "OUTCAR").write_text(outputs.outcar(steps, TRUE[0]))
    frames = keel.read(tmp_path / "OUTCAR")
    assert [f.energy is not None for f in frames] == ([True] + [False] * 3 if own is steps[0] else [False] * 3 + [True])
    assert [f.remarks for f in frames].count((f"{MACHINE_LEARNED}: the labels are not used",)) == 3
    taken = keel.read(tmp_path / "OUTCAR", keys=LabelKeys(unconverged=True))
    for frame, true in zip(taken, TRUE if own is steps[0] else TRUE[1:], strict=False):
        assert_labels(frame, true)


def test_an_outcar_of_the_force_field_only(tmp_path):
    begin = f"{'-' * 39} Ionic step {1:8d}  {'-' * 43}\n"
    (tmp_path / "OUTCAR").write_text(outputs.outcar([begin, learned(TRUE[0], 1)], TRUE[0]))
    (frame,) = keel.read(tmp_path / "OUTCAR")
    assert frame.energy is None and MACHINE_LEARNED in frame.remarks[0]
    np.testing.assert_allclose(frame.positions, TRUE[0].positions, atol=1e-6)
    (tmp_path / "OUTCAR").write_text(outputs.outcar([], TRUE[0]))
    with pytest.raises(DataError, match="the OUTCAR ends before its first ionic step"):
        keel.read(tmp_path / "OUTCAR")


def test_pstress_is_taken_off(tmp_path):
    path = tmp_path / "vasprun.xml"
    path.write_text(xml(CONVERGED, pressure=200.0))
    assert 20 * GPA * TRUE[0].volume > 5.0
    assert_labels(keel.read(path)[0], TRUE[0])


class TestCutOff:
    """A file that ends within a step: the steps before are read, the cut one is counted."""

    @pytest.mark.parametrize("at", ["<scstep>", "</structure>", 'name="forces"', "e_fr_energy", "</calculation>"])
    def test_vasprun(self, tmp_path, at):
        text, path = xml(CONVERGED, CONVERGED, CONVERGED), tmp_path / "vasprun.xml"
        path.write_text(text[: text.rindex(at) + 3])
        self.keeps_the_others(path, "frame 2: the file is cut off or damaged within this ionic step")

    @pytest.mark.parametrize("at", ["Iteration", "POSITION", "FREE ENERGIE", "energy  without"])
    def test_outcar(self, tmp_path, at):
        text, path = out(True, True, True, end=False), tmp_path / "OUTCAR"
        path.write_text(text[: text.rindex(at)] + at[:4] * (at != "Iteration") + "Iteration\n" * (at == "Iteration"))
        self.keeps_the_others(path, "frame 2")

    def keeps_the_others(self, path, message):
        bad = BadFrames(path.with_name("bad"))
        frames = keel.read(path, skip_bad=bad)
        assert len(frames) == 2 and len(bad) == 1 and message in bad.reasons[0]
        assert_labels(frames[1], TRUE[1])
        with pytest.raises(DataError, match=message):
            keel.read(path)

    def test_between_two_steps_nothing_is_lost(self, tmp_path):
        text = xml(CONVERGED, CONVERGED)
        (tmp_path / "vasprun.xml").write_text(text[: text.rindex("</modeling>")])
        (tmp_path / "OUTCAR").write_text(out(True, True, end=False))
        assert len(keel.read(tmp_path / "vasprun.xml")) == len(keel.read(tmp_path / "OUTCAR")) == 2

    def test_what_follows_damage_is_not_lost_without_a_word(self, tmp_path):
        path, text = tmp_path / "vasprun.xml", xml(CONVERGED, CONVERGED)
        for damaged in (
            text + text,
            text[: text.rindex("</modeling>")] + "<broken <" + text[text.rindex("</modeling>") :],
        ):
            path.write_text(damaged)
            self.keeps_the_others(path, "frame 2: the XML is damaged after frame 1")

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("vasprun.xml", xml()),
            ("vasprun.xml", xml()[:300]),
            ("vasprun.xml", "<modeling>"),
            ("OUTCAR", out()),
            ("OUTCAR", "vasp.6.4.2"),
        ],
    )
    def test_before_the_first_step(self, tmp_path, name, text):
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=name):
            keel.read(tmp_path / name)


def test_stars_in_place_of_a_number_are_damage_of_their_frame(tmp_path):
    path, text = tmp_path / "vasprun.xml", xml(CONVERGED, CONVERGED)
    path.write_text(re.sub(r'(name="forces" >\s*<v> )\S+', r"\1********", text, count=1))
    bad = BadFrames(tmp_path / "bad")
    assert len(keel.read(path, skip_bad=bad)) == 1
    assert "frame 0: a number in it cannot be read" in bad.reasons[0]


class TestSelectiveDynamics:
    """VASP prints the true forces on atoms that it holds."""

    def test_whole_atoms(self, tmp_path):
        (tmp_path / "vasprun.xml").write_text(xml(CONVERGED, selective="FFFTTTFFTTTT"))
        (frame,) = keel.read(tmp_path / "vasprun.xml")
        assert frame.fixed.tolist() == [[True] * 3, [False] * 3, [False] * 3, [False] * 3]
        assert "lattice vectors" in frame.remarks[0]  # The third atom, in a cell that leans.
        assert frame.forces_mask is None and frame.forces[0].any()

    def test_along_the_axes_of_a_straight_cell(self, tmp_path):
        straight = TRUE[0].replace(cell=np.diag([4.0, 5.0, 6.0]))
        text = outputs.vasprun([outputs.ionic_step(straight, CONVERGED)], straight, selective="FTTTTTFFTTTT")
        (tmp_path / "vasprun.xml").write_text(text)
        (frame,) = keel.read(tmp_path / "vasprun.xml")
        assert frame.fixed[[0, 2]].tolist() == [[True, False, False], [True, True, False]] and not frame.remarks

    def test_outcar_asks_the_poscar_beside_it_if_that_is_of_the_same_atoms(self, tmp_path):
        from ase.constraints import FixAtoms

        (tmp_path / "OUTCAR").write_text(out(True))
        atoms = TRUE[0].to_ase()
        atoms.set_constraint(FixAtoms([1]))
        atoms.write(tmp_path / "POSCAR", format="vasp")
        assert keel.read(tmp_path / "OUTCAR")[0].fixed.any(axis=1).tolist() == [False, True, False, False]
        atoms[:3].write(tmp_path / "POSCAR", format="vasp")
        assert keel.read(tmp_path / "OUTCAR")[0].fixed is None
        (tmp_path / "CONTCAR").write_text("not finished")
        assert keel.read(tmp_path / "OUTCAR")[0].fixed is None
