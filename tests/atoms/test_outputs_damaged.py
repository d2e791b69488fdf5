"""However an output is cut off or damaged: frames, or one sentence that names the file."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import outputs
from keel.atoms.read import iter_frames
from keel.errors import DataError

TRUE = outputs.frames(2)
ORIGIN = np.zeros((3, 1))
DUMP = "ITEM: UNITS\nreal\n" + "".join(
    f"ITEM: TIMESTEP\n{k}\nITEM: NUMBER OF ATOMS\n4\nITEM: BOX BOUNDS abc origin pp pp pp\n"
    f"{outputs.rows(np.hstack([f.cell, ORIGIN]))}\nITEM: ATOMS element x y z\n{outputs.rows(f.positions, 'Cu ')}\n"
    for k, f in enumerate(TRUE)
)
TEXTS = {
    "vasprun.xml": outputs.vasprun([outputs.ionic_step(f, (3.0, 0.1, 1e-5)) for f in TRUE], TRUE[0]),
    "OUTCAR": outputs.outcar([outputs.outcar_step(f, k) for k, f in enumerate(TRUE)], TRUE[0]),
    "pw.out": outputs.pw_head(TRUE[0], hybrid=True)
    + outputs.pw_results(TRUE[0], (0.1, 0.0), settled=True)
    + outputs.pw_place(TRUE[1])
    + outputs.pw_results(TRUE[1], (0.1, 0.0), settled=True),
    "gpaw.txt": outputs.gpaw(TRUE, correction=0.1),
    "a.castep": outputs.castep(TRUE[0], 0.3, fixed=1),
    "a.lammpstrj": DUMP,
}


@pytest.mark.parametrize("name", TEXTS)
def test_whole_it_is_read(tmp_path, name):
    (tmp_path / name).write_text(TEXTS[name])
    assert len(list(iter_frames(tmp_path / name))) == (1 if name == "a.castep" else 2)


@pytest.mark.parametrize("name", TEXTS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    end=st.floats(0.0, 1.0),
    changes=st.lists(st.tuples(st.floats(0.0, 1.0), st.sampled_from(b"0 9-.x\n<*\xff")), max_size=2),
)
def test_damage_ends_in_a_sentence(tmp_path, name, end, changes):
    content = bytearray(TEXTS[name].encode())
    del content[max(1, int(end * len(content))) :]
    for place, byte in changes:
        content[int(place * (len(content) - 1))] = byte
    (tmp_path / name).write_bytes(content)
    said = ""
    try:
        assert list(iter_frames(tmp_path / name))
    except DataError as error:
        said = str(error)
    assert not said or (said.startswith(str(tmp_path / name)) and "\n" not in said)
