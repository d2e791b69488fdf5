"""Tables of the report: cells are text, the first of each row is its header."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keel.atoms.labelling.names import LABELS
from keel.comparison.paired import Comparison, points_text, times_text
from keel.reporting.strategies import StrategyResult, median_interval, number, paired
from keel.results.run import Record, RunResults, TrialResults, by_strategy
from keel.training.known import BASELINE


@dataclass(frozen=True)
class Table:
    """A caption, the names of the columns, and rows of text."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


NBSP = "\N{NO-BREAK SPACE}"

ERRORS = {
    "energy_mae_mev_per_atom": "Energy MAE (meV/atom)",
    "force_mae_mev_per_angstrom": "Force MAE (meV/Å)",
    "stress_mae_mev_per_cubic_angstrom": "Stress MAE (meV/Å³)",
}
DIMER_METRICS = {
    "tortuosity": "Tortuosity (1 is best)",
    "force_flips": "Changes of force direction (1 is best)",
    "energy_jump_ev": "Energy jumps (eV)",
    "wall_position_angstrom": "Wall of 10 eV at (Å)",
    "repulsive_from_angstrom": "Repulsive from (Å)",
}


def strategy_table(strategies: Sequence[StrategyResult], squeezed: Sequence[tuple[str, ...]] = ()) -> Table:
    """One column for each strategy: cost, errors and stability, mean over seeds ± sample standard deviation.

    ``squeezed`` are rows on crystals under compression.
    """
    rows = [(title, *(mean_and_spread(s, name) for s in strategies)) for name, title in ERRORS.items()]
    tested = any(s.runs for s in strategies)
    rows = [row for row in rows if any(cell != "–" for cell in row[1:])]
    if tested:
        rows += [
            ("Median time to failure (fs)", *map(_median, strategies)),
            ("  95 % interval (fs)", *map(_median_interval, strategies)),
            ("Runs that failed", *(f"{s.failures} of {s.runs}" if s.runs else "–" for s in strategies)),
            ("Survived to the end (%)", *map(_share_at_end, strategies)),
            ("Mean time survived (fs)", *(number(s.survival.restricted_mean()) if s.runs else "–" for s in strategies)),
            *_against_baseline(strategies),
        ]
    rows += [
        *squeezed,
        (
            "Steps: pretraining + afterwards",
            *(_each(s, lambda r: f"{r.pretrain_steps} + {r.train_steps}") for s in strategies),
        ),
        ("Gradient evaluations", *(_each(s, lambda r: f"{r.gradient_evaluations}") for s in strategies)),
        ("Training time (s)", *(mean_and_spread(s, "wall_seconds") for s in strategies)),
        ("Peak memory (MB)", *(mean_and_spread(s, "peak_memory_mb") for s in strategies)),
    ]
    seeds = max(len(s.records) for s in strategies)
    spread = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "one seed, so the spread is unknown"
    caption = f"{strategies[0].network}: errors on the test frames ({spread}) and stability (runs of all seeds pooled)"
    return Table(caption, ("", *(s.strategy for s in strategies)), tuple(rows))


def mean_and_spread(result: StrategyResult, name: str) -> str:
    """Return ``81.2 ± 1.4``, without the spread for one seed."""
    mean, spread = result.mean(name), result.spread(name)
    return number(mean) if spread is None else f"{number(mean)}{NBSP}±{NBSP}{number(spread)}"


def rdf_table(trials: Sequence[TrialResults]) -> Table | None:
    """Errors of g(r) by pair and strategy, mean over seeds."""
    groups = {s: [t.rdf for t in m if t.rdf and t.rdf.errors] for s, m in by_strategy(trials).items()}
    groups = {strategy: members for strategy, members in groups.items() if members}
    pairs = dict.fromkeys(p for members in groups.values() for r in members for p in r.errors)
    rows = tuple(
        (
            f"{pair}, {title}",
            *(_mean([r.errors.get(pair, {}).get(key) for r in m]) for m in groups.values()),
        )
        for pair in pairs
        for key, title in (("fu", "∫|Δg| dr (Å)"), ("percent", "error (%)"))
    )
    caption = "Error of g(r): 0 is perfect; 100 % is as far from DFT as an ideal gas"
    return Table(caption, ("", *groups), rows) if rows else None


def dimer_table(trials: Sequence[TrialResults], pairs: Sequence[str]) -> Table | None:
    """Metrics of the dimer curves by pair and strategy, mean over seeds."""
    groups = {s: [t for t in members if t.dimer_metrics] for s, members in by_strategy(trials).items()}
    groups = {strategy: members for strategy, members in groups.items() if members}
    rows = tuple(
        (f"{pair}: {title}", *(_mean([t.dimer_metrics.get(pair, {}).get(key) for t in m]) for m in groups.values()))
        for pair in pairs
        for key, title in DIMER_METRICS.items()
        if any(key in t.dimer_metrics.get(pair, {}) for m in groups.values() for t in m)
    )
    caption = "Dimer curves from 0.1 to 8 Å (mean over seeds)"
    return Table(caption, ("", *groups), rows) if rows else None


def teacher_table(fit: Mapping[str, Any]) -> Table | None:
    """Errors of the EAM against the DFT labels, training beside test frames."""
    parts = [part for part in ("train", "test") if isinstance(fit.get(part), Mapping)]
    known = {
        "energy_mae_mev_per_atom": "Energy MAE (meV/atom)",
        "energy_rmse_mev_per_atom": "Energy RMSE (meV/atom)",
        "force_mae_mev_per_angstrom": "Force MAE (meV/Å)",
        "force_rmse_mev_per_angstrom": "Force RMSE (meV/Å)",
        "stress_mae_mev_per_cubic_angstrom": "Stress MAE (meV/Å³)",
        "stress_rmse_mev_per_cubic_angstrom": "Stress RMSE (meV/Å³)",
    }
    rows = tuple(
        (title, *(_mean([fit[part].get(key)]) for part in parts))
        for key, title in known.items()
        if any(fit[part].get(key) is not None for part in parts)
    )
    names = {"train": "training frames", "test": "test frames"}
    caption = f"The {'teacher' if fit.get('kind') else 'EAM'} against the DFT labels"
    return Table(caption, ("", *(names[p] for p in parts)), rows) if rows else None


def element_table(trials: Sequence[TrialResults]) -> Table | None:
    """Force error of each element by strategy, mean over seeds; None for a single element."""
    key = "force_mae_mev_per_angstrom_by_element"
    groups = {s: [t.accuracy.errors.get(key, {}) for t in m if t.accuracy] for s, m in by_strategy(trials).items()}
    elements = dict.fromkeys(e for members in groups.values() for errors in members for e in errors)
    if len(elements) < 2:
        return None
    rows = tuple((e, *(_mean([errors.get(e) for errors in m]) for m in groups.values())) for e in elements)
    return Table("Force MAE by element (meV/Å)", ("", *groups), rows)


def census_table(census: Mapping[str, Any]) -> Table:
    """Counts of the content of the files."""
    periodic = {int(k): v for k, v in census.get("periodic", {}).items()}
    rows = [
        ("Frames, atoms", f"{census['frames']:,}, {census.get('atoms', 0):,}"),
        ("Atoms of each element", _text(census.get("elements", {}))),
        ("Different compositions", _text(census.get("compositions"))),
        ("Frames with a label", _text(census.get("labels", {}))),
        ("Periodic directions", ", ".join(f"{k}: {v} frames" for k, v in periodic.items())),
        ("Groups by key", _text(census.get("groups", {}))),
        *(
            (f"Check of the {label}", _checked(census, label))
            for label in LABELS
            if census.get("labels", {}).get(label)
        ),
    ]
    return Table("All frames read", ("", "value"), tuple(row for row in rows if row[1] not in ("", "–")))


def _checked(census: Mapping[str, Any], label: str) -> str:
    """Return what neighbouring frames say about a label, or else a fitted EAM."""
    checked = census.get("judge", {}).get("checked", {})
    return _text(checked.get(label, census.get(label, {}).get("verdict")))


def ranges_table(census: Mapping[str, Any]) -> Table | None:
    """Smallest, median and largest value of each quantity."""
    rows = tuple(
        (f"{_title(name)} ({_unit(r['unit'])})" if r.get("unit") else _title(name), *(_text(r.get(k)) for k in keys))
        for keys in [("minimum", "median", "maximum")]
        for name, r in census.get("ranges", {}).items()
    )
    return Table("Ranges", ("", "smallest", "median", "largest"), rows) if rows else None


def versions_table(results: RunResults) -> Table:
    """Versions and machine."""
    rows = tuple((str(name), _text(value)) for name, value in results.versions.items())
    return Table("Versions and machine", ("", "value"), rows)


def _against_baseline(strategies: Sequence[StrategyResult]) -> list[tuple[str, ...]]:
    """Return the comparison run by run: ratio of mean times and difference of failed shares, with 95 % intervals."""
    base = next((s for s in strategies if s.strategy == BASELINE), None)
    if base is None:
        return []
    found = [None if s is base else paired(base, s) for s in strategies]

    def row(title: str, text: Callable[[Comparison], str]) -> tuple[str, ...]:
        return title, *("–" if c is None else text(c) for c in found)

    return [
        row(f"Mean time survived, {BASELINE} = 1", lambda c: times_text(c.mean)),
        row(f"Runs that failed, against {BASELINE}", lambda c: points_text(c.failed)),
    ]


def _median(result: StrategyResult) -> str:
    return result.survival.median_text if result.runs else "–"


def _median_interval(result: StrategyResult) -> str:
    if not result.runs:
        return "–"
    found = median_interval(result)
    low, high = (_edge(value, result) for value in (found.low, found.high))
    return low if low == high else f"{low} to {high}"


def _edge(value: float, result: StrategyResult) -> str:
    return number(value) if value < result.length_fs else f">{NBSP}{number(result.length_fs)}"


def _share_at_end(result: StrategyResult) -> str:
    if not result.runs:
        return "–"
    curve = result.survival
    return f"{100 * curve.survival[-1]:.0f} ({100 * curve.lower[-1]:.0f} to {100 * curve.upper[-1]:.0f})"


def _each(result: StrategyResult, text: Any) -> str:
    return ", ".join(dict.fromkeys(str(text(record)) for record in result.records if isinstance(record, Record)))


def _mean(values: Sequence[Any]) -> str:
    known = [float(value) for value in values if value is not None]
    return number(sum(known) / len(known)) if known else "–"


def _title(key: str) -> str:
    return str(key).replace("_", " ").capitalize() if str(key).islower() else str(key)


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_text(item)}" for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return " to ".join(map(_text, value)) if len(value) == 2 else ", ".join(map(_text, value))
    return str(value)


def _unit(unit: str) -> str:
    return unit.replace("angstrom^3", "Å³").replace("angstrom", "Å")
