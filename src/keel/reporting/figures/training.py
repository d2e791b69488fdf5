"""Training curves and parity plots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keel.atoms.frame import Array
from keel.potentials.accuracy import Parity
from keel.reporting.figures.axes import plain_log_ticks
from keel.reporting.figures.style import QUIET, ReportFigure, joined, new_figure, slug, styled
from keel.results.run import TrialResults, by_strategy
from keel.training.known import look_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Quantity in a parity file -> words and unit of its axes.
QUANTITIES = {"energy": ("energy − median", "eV/atom"), "forces": ("force", "eV/Å"), "stress": ("stress", "eV/Å³")}


@styled
def training_figure(network: str, strategy: str, trials: Sequence[TrialResults]) -> ReportFigure:
    """Loss of every step and validation loss, the pretraining stage shaded."""
    figure, axes = new_figure()
    curves = [(trial.seed, trial.training) for trial in trials if trial.training is not None]
    colour = look_of(strategy).colour
    for number, (_, curve) in enumerate(curves):
        label = ("training", "validation") if number == 0 else (None, None)
        axes.plot(curve.step, curve.total, color=colour, alpha=0.25, linewidth=0.6)
        axes.plot(curve.step, smoothed(curve.total), color=colour, label=label[0])
        seen = np.isfinite(curve.validation)
        style: dict[str, Any] = {"color": QUIET, "marker": ".", "markersize": 3, "linewidth": 1, "linestyle": "--"}
        axes.plot(curve.step[seen], curve.validation[seen], label=label[1], **style)
    shade_pretraining(axes, max((curve.pretrain_steps for _, curve in curves), default=0))
    axes.set(xlabel="optimiser step", ylabel="loss", yscale="log")
    plain_log_ticks(axes)
    axes.set_title(f"loss, {strategy}")
    axes.legend(loc="upper right")
    return ReportFigure(
        name=slug("training", network, strategy),
        alt=f"Training and validation loss of {network}, {strategy}, against the optimiser step.",
        figure=figure,
        data=joined(
            ("seed", "step", "loss", "validation_loss"),
            [(seed, curve.step, curve.total, curve.validation) for seed, curve in curves],
        ),
    )


@styled
def validation_figure(network: str, trials: Sequence[TrialResults]) -> ReportFigure:
    """Force error on the validation frames during training, all strategies together."""
    figure, axes = new_figure()
    parts: list[tuple[object, ...]] = []
    for strategy, members in by_strategy(trials).items():
        style: dict[str, Any] = {"color": look_of(strategy).colour, "linestyle": look_of(strategy).line}
        curves = [(trial.seed, trial.training) for trial in members if trial.training is not None]
        for number, (seed, curve) in enumerate(curves):
            seen = np.isfinite(curve.validation_force_mae)
            error = 1000.0 * curve.validation_force_mae[seen]
            width, label = (1.5, strategy) if number == 0 else (0.8, None)
            axes.plot(curve.step[seen], error, linewidth=width, label=label, **style)
            parts.append((strategy, seed, curve.step[seen], error))
    shade_pretraining(axes, max((t.training.pretrain_steps for t in trials if t.training), default=0))
    axes.set(xlabel="optimiser step", ylabel="validation force MAE (meV/Å)", yscale="log")
    plain_log_ticks(axes)
    axes.set_title("validation force error")
    axes.legend(loc="upper right")
    return ReportFigure(
        name=slug("validation", network),
        caption="On DFT frames not used for training; shaded: pretraining on the teacher's labels.",
        alt=f"Validation force error of {network} against the optimiser step: {', '.join(by_strategy(trials))}.",
        figure=figure,
        data=joined(("strategy", "seed", "step", "validation_force_mae_mev_per_angstrom"), parts),
    )


@styled
def parity_figure(network: str, strategy: str, quantity: str, parts: Sequence[Parity]) -> ReportFigure:
    """Prediction against DFT on the test frames, all seeds."""
    figure, axes = new_figure(height=3.2)
    reference = np.concatenate([part.reference for part in parts])
    prediction = np.concatenate([part.prediction for part in parts])
    if quantity == "energy" and len(reference):
        # The zero of energy is arbitrary; the scatter is what matters.
        middle = np.median(reference)
        reference, prediction = reference - middle, prediction - middle
    low, high = _range(reference, prediction)
    # What lies outside is drawn on the edge rather than left out.
    drawn = np.clip(np.nan_to_num(prediction, nan=high), low, high)
    axes.plot([low, high], [low, high], color=QUIET, linewidth=0.8)
    size, alpha = (12, 0.6) if len(reference) < 500 else (5, 0.3)
    colour = look_of(strategy).colour
    axes.scatter(reference, drawn, s=size, color=colour, alpha=alpha, linewidths=0, rasterized=True, clip_on=False)
    words, unit = QUANTITIES.get(quantity, (quantity, ""))
    axes.set(xlabel=f"DFT {words} ({unit})", ylabel=f"predicted ({unit})", xlim=(low, high), ylim=(low, high))
    axes.set_box_aspect(1)
    axes.locator_params(nbins=4)
    axes.set_title(f"{words.split()[0]}, {strategy}")
    return ReportFigure(
        name=slug("parity", network, strategy, quantity),
        alt=f"Predicted against DFT {quantity} of {network}, {strategy}, on {len(reference)} test values.",
        figure=figure,
        data={"reference": reference, "prediction": prediction},
    )


def smoothed(values: Array) -> Array:
    """Return the running geometric mean over a fiftieth of the steps."""
    window = np.ones(max(1, len(values) // 50))
    logs = np.log(np.maximum(values, 1e-300))
    weights = np.convolve(np.ones(len(logs)), window, mode="same")
    return np.asarray(np.exp(np.convolve(logs, window, mode="same") / weights), dtype=np.float64)


def shade_pretraining(axes: Axes, steps: int) -> None:
    """Shade the steps of the pretraining stage."""
    if steps:
        axes.axvspan(0, steps, color="#0072B2", alpha=0.12, linewidth=0, label="pretraining")


def _range(reference: Array, prediction: Array) -> tuple[float, float]:
    """Return limits for all references and all but the outermost 2 % of the predictions."""
    finite = prediction[np.isfinite(prediction)]
    values = np.concatenate([reference, np.quantile(finite, (0.01, 0.99))] if len(finite) else [reference])
    low, high = float(np.min(values, initial=np.inf)), float(np.max(values, initial=-np.inf))
    if not low <= high:
        return -1.0, 1.0
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin
