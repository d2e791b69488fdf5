"""The conclusions of a run for each network, and what to do next: the words of the report and of the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keel.comparison.paired import EFFECTS
from keel.evaluation.stability.conditions import SHORTEST_FS
from keel.reporting.run.skill import REMEDY, skills
from keel.reporting.run.tables import Table
from keel.reporting.strategies import StrategyResult, Verdict, compare, number, verdicts
from keel.results.made import RungChoice
from keel.results.run import RunResults
from keel.training.known import BASELINE, COMPARED, STRATEGIES, subject_of
from keel.wording import capitalised

NO_BASELINE = f"There is no {BASELINE} training in this run, so nothing can be compared; the tables show each strategy."
BASELINE_ALONE = f"There is only {BASELINE} training in this run, so nothing can be compared."


@dataclass(frozen=True)
class Finding:
    """A sentence under its label; ``effect`` is that of a :class:`~keel.reporting.strategies.Verdict`."""

    effect: str
    label: str
    sentence: str


@dataclass(frozen=True)
class Judgement:
    """The result of a run for one network.

    Parameters
    ----------
    network
        Its name.
    strategies
        How it was trained.
    warning
        Shown first if it has learnt nothing, else None.
    verdicts
        Each strategy compared with plain training, the method first; empty if there is none.
    given
        How the network failed before it was repaired, if nothing else was trained in this run.
    """

    network: str
    strategies: tuple[StrategyResult, ...]
    warning: str | None
    verdicts: tuple[Verdict, ...]
    given: RungChoice | None = None

    @property
    def findings(self) -> list[Finding]:
        """The verdict in sentences, the most important first."""
        found = [Finding("worse", "Nothing learnt", self.warning)] if self.warning else []
        found += [Finding(v.effect, EFFECTS[v.effect].capitalize(), v.sentence) for v in self.verdicts]
        if self.verdicts:
            return found
        if self.given is None:
            return [*found, Finding("untested", "Not compared", BASELINE_ALONE if self._alone else NO_BASELINE)]
        return [*found, Finding("untested", "Beside the network as given", _beside_given(self.given, self.strategies))]

    @property
    def _alone(self) -> bool:
        return [s.strategy for s in self.strategies] == [BASELINE]

    @property
    def next_step(self) -> str:
        """What to do next, in one sentence."""
        if self.warning:
            return REMEDY
        if self.given is not None:
            return (
                "`keel assess GIVEN REPAIRED --data FRAMES` subjects both to the same probes, on the same structures."
            )
        if not self.verdicts:
            if self._alone:
                return f"Add {' or '.join(COMPARED[-2:])} to strategies to see what they gain."
            return f"Add {BASELINE} to strategies to see what the others gain."
        by_name = {s.strategy: s for s in self.strategies}
        return _next_step(self.verdicts[0], by_name[BASELINE], by_name[self.verdicts[0].strategy])


def judgements(results: RunResults) -> list[Judgement]:
    """Return the judgement of each network of a run."""
    warnings = {skill.network: skill.sentence for skill in skills(results.trials) if skill.is_none}
    compared = {network: compare(results.records, network) for network in results.networks}
    return [
        Judgement(n, strategies, warnings.get(n), verdicts(strategies), _given(results, n, strategies))
        for n, strategies in compared.items()
    ]


def _given(results: RunResults, network: str, strategies: Sequence[StrategyResult]) -> RungChoice | None:
    """Return how the network that this run starts from failed; None if the run includes plain training."""
    names = [s.strategy for s in strategies]
    repaired = BASELINE not in names and names and names[0] in STRATEGIES and STRATEGIES[names[0]].after is not None
    return results.rungs.get(network) if repaired else None


def _beside_given(given: RungChoice, strategies: Sequence[StrategyResult]) -> str:
    temperature, share = given.temperature_k, _share(given)
    after = " and ".join(f"with {s.strategy} {s.failures} of {s.runs} runs failed" for s in strategies if s.runs)
    return (
        f"As given, the network failed in {share} of its simulations at {number(temperature)} K, from "
        f"validation structures; {after or 'nothing was simulated afterwards'}, from test structures."
    )


def _share(given: RungChoice) -> str:
    share = given.failing_share.get(f"{given.temperature_k:g}")
    return "an unknown share" if share is None else f"{100 * share:.0f} %"


def _next_step(verdict: Verdict, base: StrategyResult, other: StrategyResult) -> str:
    if verdict.effect == "untested":
        return _untested(base, other)
    if verdict.effect == "unclear":
        return "More runs (md: runs) and more seeds (seeds) would show a difference, if there is one."
    if verdict.effect == "worse":
        return (
            f"Keep {BASELINE} training; the quality of the teacher is shown in the report under “The EAM teacher”, "
            "and other strategies may do better."
        )
    if other.failures:
        return (
            f"Still, {other.failures} of {other.runs} runs failed: see in the report under “The frame before "
            "failure” what they had in common, and simulate no hotter than you need."
        )
    if len(other.records) == 1:
        return "Train with more seeds (seeds: [0, 1, 2]) before you rely on the difference."
    return "Run keel assess on the potential that you choose before you rely on it."


def _untested(base: StrategyResult, other: StrategyResult) -> str:
    """Return what to do if stability could not be compared."""
    if not (base.runs and other.runs):
        return "Give both the same seeds and MD runs to compare their stability."
    temperature, length = base.mean("md_temperature_k"), min(base.length_fs, other.length_fs)
    if length < SHORTEST_FS:
        longer = "simulate longer (a larger --budget, or md: length_fs and longest_fs)"
        return f"Runs of {length:g} fs are too short for a comparison: {longer}."
    return (
        f"{capitalised(subject_of(BASELINE))} does not fail at {number(temperature)} K either, so there was nothing "
        "to repair: to see a difference, simulate hotter or longer (md: temperatures, longest_fs)."
    )


COLUMNS = {
    "Forces\n(meV/Å)": "force_mae_mev_per_angstrom",
    "Energy\n(meV/atom)": "energy_mae_mev_per_atom",
    "Contacts\nper 1000": "close_contacts_per_1000_atoms",
}
"""Errors on the test frames, and pairs of atoms that came too close in the runs for each thousand atoms."""


def short_table(found: Sequence[Judgement]) -> Table:
    """Return a row for each network and strategy: what failed, how long runs lived, and errors on the test frames."""
    rows = [(judgement, s) for judgement in found for s in judgement.strategies]
    known = {title: name for title, name in COLUMNS.items() if any(s.mean(name) is not None for _, s in rows)}
    head = ("Network", "Strategy", "Failed\nruns", "Median\nlife (fs)", *known, f"Stability\nvs {BASELINE}")
    cells = tuple(
        (
            judgement.network,
            s.strategy,
            f"{s.failures} of {s.runs}" if s.runs else "–",
            s.survival.median_text if s.runs else "–",
            *(number(s.mean(name)) for name in known.values()),
            next((EFFECTS[v.effect] for v in judgement.verdicts if v.strategy == s.strategy), "–"),
        )
        for judgement, s in rows
    )
    given = tuple(
        (judgement.network, "as given", _share(judgement.given), number(judgement.given.median_fs))
        + ("–",) * (len(known) + 1)
        for judgement in found
        if judgement.given
    )
    cells = given + cells
    return Table("Mean absolute errors on the test frames, mean over seeds; runs of all seeds together", head, cells)


def nothing_learnt(found: Sequence[Judgement]) -> list[str]:
    """Return the networks that have learnt nothing."""
    return [judgement.network for judgement in found if judgement.warning]
