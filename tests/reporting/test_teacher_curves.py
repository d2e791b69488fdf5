"""Figures of the teacher say what it is: an EAM with its parts, or another teacher."""

import numpy as np
import pytest

from keel.reporting.figures import decomposition_figure, dimer_figure
from keel.results.made import Decomposition

R = np.linspace(0.5, 6.0, 30)


def curves(eam: bool) -> Decomposition:
    part = 1.0 / R if eam else np.full(len(R), np.nan)
    return Decomposition(R, 1.0 / R, part, part, part, part)


@pytest.mark.parametrize("eam", [True, False])
def test_dimers_beside_it_name_it(eam: bool) -> None:
    name = "EAM" if eam else "teacher"
    drawn = dimer_figure("CGCNN", "P-P", [], curves(eam))
    assert set(drawn.data["curve"]) == {name}
    assert drawn.figure.axes[0].get_legend_handles_labels()[1] == [name]


def test_only_an_eam_has_parts() -> None:
    parts, whole = (decomposition_figure("P-P", curves(eam)) for eam in (True, False))
    assert len(parts.figure.axes) == 2
    assert "Morse" in parts.alt
    assert len(whole.figure.axes) == 1
    assert set(whole.data) == {"r", "total"}
    assert "EAM" not in whole.alt
