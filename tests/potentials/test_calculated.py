"""Results of ASE calculators: taken whatever holds them, and named where their shape is wrong."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import voigt_6_to_full_3x3_stress

from keel.errors import RefusedError
from keel.potentials.external import ASEPotential

FORCES = np.arange(12.0).reshape(4, 3)
RIGHT = {"energy": 1.5, "forces": FORCES, "stress": np.arange(6.0)}


class Fixed(Calculator):
    """The same results for every structure."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, **changed):
        super().__init__()
        self.fixed = {**RIGHT, **changed}
        self.calls = 0

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        self.results = dict(self.fixed)


@pytest.mark.parametrize(
    "changed",
    [
        {"energy": np.array([1.5], dtype=np.float32)},
        {"energy": torch.tensor([1.5], requires_grad=True)},
        {"forces": FORCES.tolist(), "stress": list(range(6))},
        {"forces": torch.tensor(FORCES, requires_grad=True), "stress": torch.arange(6)},
        {"forces": FORCES.astype(np.float32), "stress": voigt_6_to_full_3x3_stress(RIGHT["stress"])},
    ],
)
def test_whatever_holds_them(changed):
    found = ASEPotential(Fixed(**changed))(bulk("Cu", cubic=True))
    assert float(found.energy) == 1.5
    np.testing.assert_array_equal(found.forces, FORCES)
    np.testing.assert_allclose(found.stress[0], voigt_6_to_full_3x3_stress(RIGHT["stress"]), atol=1e-12)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"forces": FORCES[:3]},
            r"Fixed gives forces of shape \(3, 3\) for 4 atoms, where keel expects shape \(4, 3\)",
        ),
        ({"forces": FORCES.ravel()}, r"Fixed gives forces of shape \(12,\)"),
        ({"forces": [[1.0], [1.0, 2.0]]}, "Fixed gives forces of type list for 4 atoms"),
        ({"energy": np.ones(4)}, r"Fixed gives an energy of shape \(4,\) for 4 atoms, where keel expects one number"),
        ({"energy": None}, "Fixed gives an energy of type NoneType"),
        ({"stress": np.ones(9)}, r"Fixed gives a stress of shape \(9,\) .* expects shape \(6,\) or \(3, 3\)"),
    ],
)
def test_a_wrong_shape_is_named(changed, message, periodic):
    atoms: Atoms = bulk("Cu", cubic=True)
    atoms.pbc = [True, True, periodic]
    calculator = Fixed(**changed)
    with pytest.raises(RefusedError, match=f"^{message}"):
        ASEPotential(calculator)(atoms)
    assert calculator.calls == 1  # it is not tried in a box
