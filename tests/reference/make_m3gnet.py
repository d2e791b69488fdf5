"""Write m3gnet.npz: two small M3GNets of matgl 4.1.2, their predictions in float64. Run where matgl is installed:

python tests/reference/make_m3gnet.py tests/reference/m3gnet.npz
"""

import json
import sys
from pathlib import Path

import matgl
import numpy as np
import torch
from ase import Atoms

matgl.set_default_dtype("float", 64)

from matgl.apps.pes import Potential  # noqa: E402
from matgl.ext.ase import Atoms2Graph  # noqa: E402
from matgl.layers import _basis  # noqa: E402
from matgl.models import M3GNet  # noqa: E402
from matgl.utils import maths  # noqa: E402
from matgl.utils.constants import EV_PER_ANG3_TO_GPA  # noqa: E402

ELEMENTS = ("Si", "O", "H")
MODELS = {
    "bessel": {"max_n": 3, "max_l": 3, "nblocks": 2, "activation_type": "swish"},
    "smooth": {"max_n": 2, "max_l": 4, "nblocks": 1, "activation_type": "softplus2", "use_smooth": True},
}


def structures() -> list[Atoms]:
    """A crystal with a cell smaller than both cutoffs, one skewed and one of ordinary size, and a molecule."""
    rng = np.random.default_rng(0)
    sizes = [(2, 2.7), (7, 4.2), (12, 6.0)]
    found = [
        Atoms(
            rng.choice([1, 8, 14], n),
            positions=rng.random((n, 3)) * a,
            cell=np.eye(3) * a + rng.normal(0, 0.3, (3, 3)),
            pbc=True,
        )
        for n, a in sizes
    ]
    return [*found, Atoms("SiOH2", positions=rng.normal(0, 1.5, (4, 3)))]


def model(options: dict) -> Potential:
    """Return a potential whose weights are large enough for forces of the order of eV/angstrom."""
    torch.manual_seed(1)
    network = M3GNet(
        ELEMENTS,
        dim_node_embedding=8,
        dim_edge_embedding=6,
        units=10,
        is_intensive=False,
        cutoff=5.0,
        threebody_cutoff=4.0,
        **options,
    )
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.mul_(8.0 if "three_body" in name else 2.5)
    return Potential(network, data_std=1.7, element_refs=[-3.0, -7.5, 0.25]).double().eval()


def main(path: str) -> None:
    # matgl keeps the roots of the Bessel functions in float32.
    roots = np.load(Path(maths.__file__).parent / "sb_roots.npy")
    _basis.SPHERICAL_BESSEL_ROOTS = torch.tensor(roots, dtype=torch.float64)
    arrays: dict[str, np.ndarray] = {}
    frames = structures()
    for k, atoms in enumerate(frames):
        arrays |= {f"frame{k}/numbers": atoms.numbers, f"frame{k}/positions": atoms.positions}
        arrays |= {f"frame{k}/cell": atoms.cell.array, f"frame{k}/pbc": atoms.pbc}
    for name, options in MODELS.items():
        potential = model(options)
        description = {"@class": "Potential", "kwargs": potential._init_args}
        arrays[f"{name}/description"] = np.array(json.dumps(description, default=str))
        arrays |= {f"{name}/state/{key}": value.numpy() for key, value in potential.state_dict().items()}
        for k, atoms in enumerate(frames):
            graph, lattice, state = Atoms2Graph(ELEMENTS, 5.0).get_graph(atoms)
            energy, forces, stress, _ = potential(graph, torch.as_tensor(lattice).double().reshape(1, 3, 3), state)
            arrays[f"{name}/energy{k}"] = energy.detach().numpy()
            arrays[f"{name}/forces{k}"] = forces.detach().numpy()
            arrays[f"{name}/stress{k}"] = stress.detach().numpy() / EV_PER_ANG3_TO_GPA
    np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
