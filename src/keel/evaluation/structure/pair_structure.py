"""Do the atoms of a simulation keep the distances of the reference? Radial distribution functions of each pair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.frame import Array, Frame
from keel.dynamics.results import Trajectory
from keel.errors import ConfigError
from keel.evaluation.check import CheckResult, Metric
from keel.evaluation.structure.rdf import RDF, TOTAL, rdf, rdf_error, rdf_error_percent
from keel.evaluation.structure.recorded import (
    DISCARD,
    Distributions,
    compared,
    failed_runs,
    judged_if_possible,
    noise_limit,
    settled_frames,
)

NAME = "pair structure"

LARGEST_ERROR = 10.0
"""% by which g(r) of a pair may be off where noise is smaller, as matbench-discovery measures it: 100 is an ideal gas.
In DFT frames of 12 silica zeolites the halves (100 frames) of one framework are 3 to 7 % apart in the worst pair, two
frameworks 8 % and more, half of them more than 37 %."""

FU_RANGE = 6.0
"""Fu et al. integrate up to this distance in angstrom."""


def pair_structure(
    trajectories: Sequence[Trajectory],
    reference: Structures,
    *,
    r_max: float = FU_RANGE,
    n_bins: int = 120,
    discard: float = DISCARD,
    by: str | None = None,
) -> CheckResult:
    """Compare g(r) of each pair of elements with that of the reference.

    It passes if no pair is off by more than :data:`LARGEST_ERROR`, or by more than three times the expected noise, from
    the halves of the reference (:mod:`keel.evaluation.structure.recorded`), whichever is larger; a pair for which that
    is more than 50 % is not judged. Two errors are given: 100 int |g - g_ref| dr / int |g_ref - 1| dr, which is judged
    (matbench-discovery), and int |g - g_ref| dr in angstrom (Fu et al., arXiv 2210.07237).

    Parameters
    ----------
    trajectories
        With recorded structures, at the temperature of the reference.
    reference
        Frames or a trajectory in order of time, of the same structures.
    r_max, n_bins
        Of g(r); the second error is integrated to 6 angstrom at most.
    discard
        Share of each run that is left out at its beginning.
    by
        Key in ``Frame.info`` that names the structure, if the reference has several
        (:func:`~keel.evaluation.structure.recorded.compared`).

    Raises
    ------
    ConfigError, DataError
        If range or bins are not positive; if nothing was recorded, or the reference is of other elements.
    """
    reference = as_frames(reference, labels=False)
    if not (r_max > 0 and n_bins > 0):
        raise ConfigError("g(r) needs a positive r_max and at least one bin")
    frames = settled_frames(trajectories, discard)
    if not all(f.pbc.all() for f in (*frames, *reference)):
        why = "g(r) needs cells that are periodic in three directions"
        return CheckResult(NAME, (), (), "skipped", why)
    r = (np.arange(n_bins) + 0.5) * r_max / n_bins
    comparison = compared(frames, reference, lambda part: _pairs(part, r_max, n_bins), by)
    percent = comparison.errors(lambda a, b: rdf_error_percent(RDF(r, a, 0), RDF(r, b, 0)))
    fu = comparison.errors(lambda a, b: rdf_error(RDF(r, a, 0), RDF(r, b, 0), min(r_max, FU_RANGE)))
    noise = comparison.noise(lambda a, b: rdf_error_percent(RDF(r, a, 0), RDF(r, b, 0)))
    errors = [Metric(f"{p} error", e, "%", noise_limit(LARGEST_ERROR, noise.get(p), 50.0)) for p, e in percent.items()]
    others = [Metric(f"{pair} error (Fu et al.)", error, "angstrom") for pair, error in fu.items()]
    others += [Metric(f"{pair} expected noise", value, "%") for pair, value in noise.items()]
    return judged_if_possible(
        NAME,
        errors,
        [*others, failed_runs(trajectories)],
        comparison.curves(list(comparison.reference), r, "distance (angstrom)", "g(r)"),
        "distances are not those of the reference",
    )


def _pairs(frames: Sequence[Frame], r_max: float, n_bins: int) -> Distributions:
    found: dict[str, Array] = dict(rdf(frames, r_max=r_max, n_bins=n_bins).g)
    del found[TOTAL]
    return found
