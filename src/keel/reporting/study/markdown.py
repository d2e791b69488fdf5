"""The tables of the page of a study, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from keel.atoms.frame import Array
from keel.comparison.paired import difference_text, points_text, times_text
from keel.comparison.statistics import Interval
from keel.reporting.budgets import steps_text
from keel.reporting.run.tables import DIMER_METRICS
from keel.reporting.strategies import StrategyResult, counterparts, number
from keel.reporting.study.columns import Columns
from keel.reporting.study.data import Study
from keel.training.known import BASELINE

MOST_PAIRS = 6
"""Pairs of elements in one table; the CSV files have more."""
RATIOS = ("median_ratio", "mean_ratio")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first two columns name the row."""
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def overview_table(study: Study) -> str:
    """Failed runs and force errors of all strategies, a row for each system and network."""
    rows = [
        (system, study.strategies(system, network)) for system in study.systems for network in study.networks(system)
    ]
    names = list(dict.fromkeys(result.strategy for _, results in rows for result in results))
    head = ("system", "network", "MD at (K)", *names)
    return table(head, [(system, *_overview(results, names)) for system, results in rows])


def _overview(results: Sequence[StrategyResult], names: Sequence[str]) -> tuple[str, ...]:
    found = {result.strategy: result for result in results}
    base = found.get(BASELINE)
    cells = (at_a_glance(found[name], base) if name in found else "" for name in names)
    return results[0].network, _different(results[0], "md_temperature_k"), *cells


def at_a_glance(result: StrategyResult, base: StrategyResult | None) -> str:
    """Return failed runs, and the force error or its change against the baseline, over the seeds of both."""
    failed = f"{result.failures} of {result.runs} failed" if result.runs else "no MD"
    if (force := result.mean("force_mae_mev_per_angstrom")) is None:
        return failed
    if base is None or result is base:
        return f"{failed}; {number(force)} meV/Å"
    before, after = (r.mean("force_mae_mev_per_angstrom") for r in counterparts(base, result))
    return f"{failed}; {100 * (after / before - 1):+.1f} %" if before and after else failed


def stability_table(study: Study, system: str) -> str:
    """Errors of the EAM, and errors and stability of every network and strategy of a system."""
    head = ("network", "strategy", "energy MAE (meV/atom)", "force MAE (meV/Å)", "stress MAE (meV/Å³)", "MD at (K)",
            "runs of (fs)", "failed", "median time to failure (fs)", "mean time survived (fs)",
            "close contacts per 1000 atoms")  # fmt: skip
    rows = [
        (
            result.network,
            result.strategy,
            _over_seeds(result, "energy_mae_mev_per_atom"),
            _over_seeds(result, "force_mae_mev_per_angstrom"),
            _over_seeds(result, "stress_mae_mev_per_cubic_angstrom"),
            *_stability(result),
        )
        for result in _results(study, system)
    ]
    return table(head, [*_teacher(study, system), *rows])


def _teacher(study: Study, system: str) -> list[tuple[str, ...]]:
    """Return a row with the errors of the EAM on the same test frames; none where they are not known."""
    found = study.run(system).get("teacher", {}).get("test")
    if not found:
        return []
    errors = (
        number(found.get(name))
        for name in ("energy_mae_mev_per_atom", "force_mae_mev_per_angstrom", "stress_mae_mev_per_cubic_angstrom")
    )
    return [("EAM", "the teacher", *errors, *("–",) * 6)]


def _stability(result: StrategyResult) -> tuple[str, ...]:
    if not result.runs:
        return ("–",) * 6
    return (
        _different(result, "md_temperature_k"),
        _different(result, "md_length_fs"),
        f"{result.failures} of {result.runs}",
        result.survival.median_text,
        number(result.survival.restricted_mean()),
        _over_seeds(result, "close_contacts_per_1000_atoms"),
    )


def cost_table(study: Study, system: str) -> str:
    """Optimiser steps, gradient evaluations, time and memory of one training."""
    head = ("network", "strategy", "seeds", "training frames", "steps of pretraining + afterwards",
            "optimiser steps in all", "gradient evaluations", "training time (s)", "its own stages with MD (s)",
            "peak memory of the process (MB)")  # fmt: skip
    return table(head, [_cost(result) for result in _results(study, system)])


def _cost(result: StrategyResult) -> tuple[str, ...]:
    return (
        result.network,
        result.strategy,
        str(len(result.records)),
        _different(result, "train_frames"),
        steps_text(result.records),
        _whole(_mean(result, "pretrain_steps") + _mean(result, "train_steps")),
        _whole(_mean(result, "gradient_evaluations")),
        _over_seeds(result, "wall_seconds"),
        _over_seeds(result, "cell_seconds"),
        _over_seeds(result, "peak_memory_mb"),
    )


def comparison_table(study: Study, system: str) -> str:
    """Every strategy against vanilla, with 95 % intervals."""
    head = ("network", "strategy", "median time to failure, vanilla = 1", "mean time survived, vanilla = 1",
            "failed runs", "force MAE (meV/Å)", "force MAE (%)")  # fmt: skip
    found = study.tables["comparisons"].where(system=system)
    return table(head, [_comparison(study, system, found, row) for row in range(len(found))])


def _comparison(study: Study, system: str, found: Columns, row: int) -> tuple[str, ...]:
    median, mean, failed, force = (
        _interval(found, row, name) for name in ("median_ratio", "mean_ratio", "failed_difference", "force_difference")
    )
    network = str(found["network"][row])
    base = next((s for s in study.strategies(system, network) if s.strategy == BASELINE), None)
    whole = base.mean("force_mae_mev_per_angstrom") if base else None
    return (
        network,
        str(found["strategy"][row]),
        times_text(median, str(found["median_bound"][row])) if median else "not reached by either",
        times_text(mean) if mean else "–",
        points_text(failed) if failed else "–",
        _difference(force, "meV/Å") if force else "–",
        _difference(_per_cent(force, whole), "%") if force and whole else "–",
    )


def _difference(found: Interval, unit: str) -> str:
    text = difference_text(found, unit)
    return text if np.isfinite(found.low) else f"{text.split(' [')[0]} [no interval]"


def _interval(found: Columns, row: int, name: str) -> Interval | None:
    value, low, high = (float(found[f"{name}{end}"][row]) for end in ("", "_low", "_high"))
    if np.isnan(value):
        return None
    # Bounds of a ratio that are almost zero exclude nothing.
    return Interval(value, 0.0 if name in RATIOS and low < 0.01 else low, high)


def _per_cent(difference: Interval, whole: float) -> Interval:
    return Interval(*(100 * value / whole for value in (difference.value, difference.low, difference.high)))


def rdf_table(study: Study, system: str) -> str | None:
    """Failed runs and errors of g(r) by pair, the floor first; None where neither is known."""
    trained, errors = (study.tables[name].where(system=system) for name in ("cells", "rdf_errors"))
    pairs = errors.different("pair")[:MOST_PAIRS]
    if not pairs and not np.isfinite(trained["rdf_failed"]).any():
        return None
    head = ("network", "strategy", "failed runs", *(f"{pair} (%; Å)" for pair in pairs))
    # The floor is one of the data, the same for every trial.
    of_pairs = [errors.where(pair=pair) for pair in pairs]
    floors = [_error(found.rows(np.arange(len(found)) == 0), "floor_percent", "floor_fu") for found in of_pairs]
    rows: list[Sequence[str]] = [("–", "DFT, the floor", "", *floors)] if any(f != "–" for f in floors) else []
    for network, members in trained.groups("network").items():
        for strategy, trials in members.groups("strategy").items():
            known = _whole(trials["rdf_failed"].sum()) if np.isfinite(trials["rdf_failed"]).all() else "–"
            # There is none if every run failed too soon.
            own = [found.where(network=network, strategy=strategy) for found in of_pairs]
            if known != "–" or any(map(len, own)):
                rows.append((network, strategy, known, *(_error(found, "percent", "fu") for found in own)))
    return table(head, rows)


def _error(trials: Columns, percent: str, fu: str) -> str:
    if not np.isfinite(trials[percent]).any():
        return "–"
    return f"{spread_text(trials[percent])}; {number(float(np.nanmean(trials[fu])))}"


def dimer_table(study: Study, system: str) -> str | None:
    """Metrics of the dimer curves of every network and strategy, over pairs and seeds."""
    metrics = study.tables["dimer_metrics"].where(system=system)
    shown = [name for name in DIMER_METRICS if name in metrics.different("metric")]
    if not shown:
        return None
    rows = [
        (network, strategy, _walls(trials), *(_median(trials.where(metric=name)["value"]) for name in shown))
        for network, members in metrics.groups("network").items()
        for strategy, trials in members.groups("strategy").items()
    ]
    return table(("network", "strategy", "curves with a wall of 10 eV", *(DIMER_METRICS[n] for n in shown)), rows)


def _walls(trials: Columns) -> str:
    walls = trials.where(metric="wall_position_angstrom")["value"]
    return f"{np.isfinite(walls).sum()} of {len(walls)}" if len(walls) else "–"


def _median(values: Array) -> str:
    known = values[np.isfinite(values)]
    return number(float(np.median(known))) if known.size else "–"


def rung_table(study: Study, system: str) -> str | None:
    """Share of vanilla runs that failed at each temperature tried; None where none is known."""
    rungs = study.tables["rungs"].where(system=system)
    temperatures = sorted(set(rungs["temperature_k"].tolist()))
    if not temperatures:
        return None
    rows = []
    for network, tried in rungs.groups("network").items():
        share = dict(zip(tried["temperature_k"].tolist(), tried["failing_share"].tolist(), strict=True))
        chosen = tried["temperature_k"][tried["chosen"] == 1]
        at = f"{chosen[0]:g} K" if len(chosen) else "–"
        rows.append((network, at, *(f"{100 * share[t]:.0f} %" if t in share else "–" for t in temperatures)))
    return table(("network", "compared at", *(f"{t:g} K" for t in temperatures)), rows)


def frames_table(trials: Columns) -> str:
    """Errors and failed runs of every network and strategy against the number of training frames."""
    sizes = sorted(set(trials["train_frames"].tolist()))
    rows = [
        (network, strategy, *(_at_size(runs.where(train_frames=size)) for size in sizes))
        for network, members in trials.groups("network").items()
        for strategy, runs in members.groups("strategy").items()
    ]
    return table(("network", "strategy", *(f"{size:g} frames" for size in sizes)), rows)


def _at_size(trials: Columns) -> str:
    if not len(trials):
        return "–"
    force = spread_text(trials["force_mae_mev_per_angstrom"])
    temperatures = " and ".join(f"{t:g} K" for t in sorted(set(trials["md_temperature_k"].tolist())))
    return f"{force}; {trials['failed'].sum():.0f} of {trials['runs'].sum():.0f} at {temperatures}"


def provenance_table(runs: Sequence[Mapping[str, object]], versions: Sequence[str]) -> str:
    """Versions and machine of each run."""
    rows = []
    for run in runs:
        known = run.get("versions")
        values = known if isinstance(known, Mapping) else {}
        rows.append((f"`{run['folder']}`", str(run.get("system", "")), *(str(values.get(v, "–")) for v in versions)))
    return table(("configuration", "system", *versions), rows)


def _results(study: Study, system: str) -> list[StrategyResult]:
    return [result for network in study.networks(system) for result in study.strategies(system, network)]


def _different(result: StrategyResult, name: str) -> str:
    return ", ".join(f"{value:g}" for value in dict.fromkeys(result.values(name))) or "–"


def _over_seeds(result: StrategyResult, name: str) -> str:
    return spread_text(np.array(result.values(name)))


def spread_text(values: Array) -> str:
    """Return mean ± sample standard deviation, ``81.2 ± 1.4``, without the spread of fewer than two values."""
    known = values[np.isfinite(values)]
    if known.size < 2:
        return number(float(known[0])) if known.size else "–"
    mean, spread = float(known.mean()), float(known.std(ddof=1))
    shown = spread if spread > 1e-9 * abs(mean) else 0.0
    return f"{number(mean)} ± {number(float(f'{shown:.2g}'))}"


def _mean(result: StrategyResult, name: str) -> float:
    return result.mean(name) or 0.0


def _whole(value: float) -> str:
    return f"{value:.0f}"
