"""Training curves and parity plots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keel.atoms.frame import Array
from keel.reporting.figures.curves import by_strategy, extend
from keel.reporting.figures.stability import plain_log_ticks
from keel.reporting.figures.style import DASHES, ReportFigure, colour_of, new_figure, slug, styled
from keel.reporting.results import Cell, Parity

UNITS = {"energy": "eV/atom", "forces": "eV/Å", "force": "eV/Å", "stress": "eV/Å³"}


@styled
def training_figure(network: str, strategy: str, cells: Sequence[Cell]) -> ReportFigure:
    """Loss of every step and validation loss, the pretraining stage shaded."""
    figure, axes = new_figure()
    data: dict[str, list[object]] = {name: [] for name in ("seed", "step", "loss", "validation_loss")}
    curves = [(cell.seed, cell.training) for cell in cells if cell.training is not None]
    colour = colour_of(strategy)
    for number, (seed, curve) in enumerate(curves):
        first = number == 0
        axes.plot(curve.step, curve.total, color=colour, alpha=0.25, linewidth=0.6)
        axes.plot(curve.step, smoothed(curve.total), color=colour, label="training" if first else None)
        seen = np.isfinite(curve.validation)
        axes.plot(
            curve.step[seen], curve.validation[seen], color="#57606a", marker=".", markersize=3, linewidth=1,
            linestyle="--", label="validation" if first else None,
        )  # fmt: skip
        extend(data, seed, curve.step, curve.total, curve.validation)
    shade_pretraining(axes, max((curve.pretrain_steps for _, curve in curves), default=0))
    axes.set(xlabel="optimiser step", ylabel="loss", yscale="log")
    plain_log_ticks(axes)
    axes.set_title(f"loss, {strategy}")
    axes.legend(loc="upper right")
    return ReportFigure(
        name=slug("training", network, strategy),
        title="",
        caption="",
        alt=f"Training and validation loss of {network}, {strategy}, against the optimiser step.",
        figure=figure,
        data=data,
    )


@styled
def validation_figure(network: str, cells: Sequence[Cell]) -> ReportFigure:
    """Force error on the validation frames during training, all strategies together."""
    figure, axes = new_figure()
    data: dict[str, list[object]] = {name: [] for name in ("strategy", "seed", "step", "validation_force_mae")}
    for strategy, members in by_strategy(cells).items():
        for number, cell in enumerate(c for c in members if c.training is not None):
            assert cell.training is not None
            curve = cell.training
            seen = np.isfinite(curve.validation_force_mae)
            step, error = curve.step[seen], 1000.0 * curve.validation_force_mae[seen]
            style = {"label": strategy} if number == 0 else {"alpha": 0.6, "linewidth": 0.8}
            axes.plot(step, error, color=colour_of(strategy), linestyle=DASHES.get(strategy, "-"), **style)
            extend(data, strategy, cell.seed, step, curve.validation_force_mae[seen])
    shade_pretraining(axes, max((c.training.pretrain_steps for c in cells if c.training), default=0))
    axes.set(xlabel="optimiser step", ylabel="validation force MAE (meV/Å)", yscale="log")
    plain_log_ticks(axes)
    axes.set_title("validation force error")
    axes.legend(loc="upper right")
    return ReportFigure(
        name=slug("validation", network),
        title="",
        caption="On DFT frames that were not trained on; shaded: the steps that pretraining spends on EAM labels.",
        alt=f"Validation force error of {network} against the optimiser step for "
        + ", ".join(by_strategy(cells))
        + ".",
        figure=figure,
        data=data,
    )


@styled
def parity_figure(network: str, strategy: str, quantity: str, parts: Sequence[Parity]) -> ReportFigure:
    """Prediction against DFT on the test frames, all seeds."""
    figure, axes = new_figure(height=3.2)
    reference = np.concatenate([part.reference for part in parts])
    prediction = np.concatenate([part.prediction for part in parts])
    if quantity == "energy" and len(reference):
        # The zero of energy is arbitrary; the scatter is what matters.
        reference, prediction = reference - (centre := float(np.median(reference))), prediction - centre
    low, high = _range(reference)
    axes.plot([low, high], [low, high], color="#8b949e", linewidth=0.8)
    axes.scatter(reference, prediction, s=5, color=colour_of(strategy), alpha=0.3, linewidths=0, rasterized=True)
    unit = UNITS.get(quantity, "")
    name = (
        "energy − median" if quantity == "energy" else quantity.removesuffix("s") if quantity == "forces" else quantity
    )
    axes.set(xlabel=f"DFT {name} ({unit})", ylabel=f"predicted ({unit})", xlim=(low, high), ylim=(low, high))
    axes.set_box_aspect(1)
    axes.locator_params(nbins=4)
    axes.set_title(f"{name.split()[0]}, {strategy}")
    return ReportFigure(
        name=slug("parity", network, strategy, quantity),
        title="",
        caption="",
        alt=f"Predicted against DFT {quantity} of {network}, {strategy}, on {len(reference)} test values.",
        figure=figure,
        data={"reference": reference, "prediction": prediction},
    )


def smoothed(values: Array) -> Array:
    """Return the running geometric mean over a fiftieth of the steps."""
    width = max(1, len(values) // 50)
    logs = np.log(np.maximum(values, 1e-300))
    weights = np.convolve(np.ones(len(logs)), np.ones(width), mode="same")
    return np.asarray(np.exp(np.convolve(logs, np.ones(width), mode="same") / weights), dtype=np.float64)


def shade_pretraining(axes: object, steps: int) -> None:
    """Shade the steps of the pretraining stage."""
    if steps:
        axes.axvspan(0, steps, color="#0072B2", alpha=0.12, linewidth=0, label="pretraining")  # type: ignore[attr-defined]


def _range(reference: Array) -> tuple[float, float]:
    finite = reference[np.isfinite(reference)]
    if not len(finite):
        return -1.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin
