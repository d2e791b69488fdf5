"""Which potential of a run to use, by a stated rule, and how to use it."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keel.reporting.run.judgement import Judgement
from keel.reporting.strategies import StrategyResult, number
from keel.results.named import TEACHER
from keel.results.run import Record
from keel.training.known import BASELINE

RULE = (
    "Chosen: for each network the strategy with the fewest failed runs (ties: the lowest force error on the test "
    "frames; where that is the same too, not plain training), then its best seed in the same way."
)


@dataclass(frozen=True)
class Winner:
    """The potential to use of a network: its trial, and how it was trained."""

    record: Record
    strategy: StrategyResult

    @property
    def name(self) -> str:
        """Of the trial."""
        return self.record.name

    @property
    def sentence(self) -> str:
        """Why it is this one, with the numbers of the rule."""
        failed = f"{self.strategy.failures} of {self.strategy.runs} runs failed" if self.strategy.runs else "no MD runs"
        error = number(self.record.force_mae_mev_per_angstrom)
        return f"{self.name} (with {self.record.strategy} {failed}; its force error is {error} meV/Å)"


def winners(found: Sequence[Judgement]) -> list[Winner]:
    """Return the potential to use of each network that has learnt something, those with smaller force errors first.

    Networks are simulated at different temperatures, so that their failed runs do not show which of them to use.
    """
    best = [_winner(judgement.strategies) for judgement in found if not judgement.warning]
    return sorted(best, key=lambda winner: _known(winner.record.force_mae_mev_per_angstrom))


def _winner(strategies: Sequence[StrategyResult]) -> Winner:
    strategy = min(strategies, key=lambda result: (*_rank(result), result.strategy == BASELINE))
    (seed,) = min(strategy.seeds(), key=_rank).records
    return Winner(seed, strategy)


def _rank(result: StrategyResult) -> tuple[float, float]:
    failed = result.failures / result.runs if result.runs else math.inf
    error = _known(result.mean("force_mae_mev_per_angstrom"))
    return failed, float(f"{error:.3g}")  # in the digits that are shown


def _known(error: float | None) -> float:
    return math.inf if error is None or math.isnan(error) else error


def uses(winner: Path, teacher: Path | None = None) -> list[tuple[str, str]]:
    """Return (purpose, line) for the uses of a trained potential and the export of the teacher.

    Parameters
    ----------
    winner
        File of the potential, as it is written in the lines.
    teacher
        File of an EAM; None where it cannot be exported.
    """
    name = shlex.quote(str(winner))
    lines = [
        ("simulate", f"keel md {name} START.extxyz -T 300 --length-fs 10000 --out md.extxyz"),
        ("judge", f"keel assess {name} --data FRAMES.extxyz"),
        ("in Python, with ASE", f"atoms.calc = keel.KeelCalculator({json.dumps(str(winner))})"),
        ("in LAMMPS and others", f"keel export {name} --to metatomic --out {shlex.quote(winner.stem)}.pt"),
    ]
    if teacher is None:
        return lines
    return [*lines, ("the EAM teacher in LAMMPS", f"keel export {shlex.quote(str(teacher))} --out teacher.setfl")]


def exportable(root: Path, files: Mapping[str, Path]) -> Path | None:
    """Return the file of the teacher, from the run folder, if `keel export` takes it: an EAM without angles."""
    teacher = files.get(TEACHER)
    if teacher is None or teacher.suffix != ".json":
        return None
    text = (root / teacher).read_text(encoding="utf-8")
    return teacher if '"EAM"' in text and '"ThreeBody"' not in text else None
