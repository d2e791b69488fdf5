"""The usual causes of failed checks: the ends of the sentences that report them."""

from __future__ import annotations

from collections.abc import Mapping

_POSITIONS = "atomic_energies reads positions or shifts of the graph instead of `vectors`"
_OVERRIDDEN = "an overridden method does without `prepare` of the base class"

CAUSES: Mapping[str, str] = {
    "result": "a tensor without the dtype of `vectors`, or a mean or a norm over no neighbours at all",
    "translation": _POSITIONS,
    "rotation": "components of `vectors` are used like scalars that do not rotate",
    "permutation": "something depends on the index of an atom or on the order of the edges",
    "wrapping": _POSITIONS,
    "hand": "a volume is the determinant of the cell, which is negative for a left-handed one, not its absolute value",
    "batching": "a mean, norm or maximum over the whole batch instead of over the neighbours of an atom",
    "extensivity": "a mean over atoms instead of a sum, or edges to an atom's own images that are left out",
    "list_kinds": f"{_OVERRIDDEN}, or it ignores `vectors` or assumes their order in memory",
    "forces": "something is hidden from autograd (detach, item, numpy), computed in float32, or differentiated wrongly",
    "stress": "as for forces, or edges to an atom's own images are left out",
    "smooth_cutoff": "nothing takes each edge to zero at the cutoff, as `keel.potentials.switch.quintic_switch` would; "
    "if that is intended, pass exempt=['smooth_cutoff']",
    "offsets": "`offsets` or `set_offsets` is overridden, or atomic_energies adds energies of elements of its own",
    "unknown_elements": f"{_OVERRIDDEN}, or its constructor is not given the elements",
    "small_cutoff": _OVERRIDDEN,
    "inputs_untouched": "an operation in place (`+=`, `mul_`) on what belongs to the graph or the potential",
    "files": "config() lacks an argument of the constructor, or a tensor is neither parameter nor buffer",
    "precision": "a constant in another dtype than the parameters, or a small difference of large numbers",
    "parameter_gradients": "a parameter is hidden from autograd (detach, item, numpy), or `differentiable` is ignored",
}
"""By the name of the check or rule."""
