"""The strategies that keel knows by name, with everything about each in one place: what it does, in words, and how it
is drawn.

A strategy that is added here is known to `keel run`, `keel train`, their help, the reports and the documentation.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from keel.errors import ConfigError
from keel.plugins import discover, remember
from keel.training.strategies import Strategy

BASELINE = "vanilla"
"""The strategy with which others are compared."""
METHOD = "pretrain"
"""Keel's own strategy."""
WALLS = "walls-delta"
"""What of it needs no pretraining."""
COMPARED = (BASELINE, "sam", WALLS, METHOD)
"""What a run compares by default."""


@dataclass(frozen=True)
class Look:
    """How curves and points of a strategy are drawn: colour, matplotlib's marker and line style."""

    colour: str
    marker: str = "o"
    line: str = "-"


@dataclass(frozen=True)
class KnownStrategy:
    """A strategy with a name.

    Parameters
    ----------
    strategy
        What is done with the steps.
    meaning
        What it does, as the predicate of a sentence.
    subject
        Its name as the subject of a sentence, which it does not begin.
    look
        How it is drawn.
    note
        What readers of a comparison must know; may be empty.
    """

    strategy: Strategy
    meaning: str
    subject: str
    look: Look
    note: str = ""


# Colours of Okabe & Ito (2008), and three more: distinguishable for colour-blind readers.
KNOWN: dict[str, KnownStrategy] = {
    "vanilla": KnownStrategy(
        Strategy(),
        "trains on the DFT labels",
        "vanilla training",
        Look("#D55E00", "o", "-"),
    ),
    "sam": KnownStrategy(
        Strategy(sam_rho=0.005),
        "the same with adaptive sharpness-aware steps, each of which takes two gradients",
        "SAM training",
        Look("#CC79A7", "s", "--"),
    ),
    "pretrain": KnownStrategy(
        Strategy(pretrain_share=0.1, replay_share=0.02, base="walls", clamped=True),
        "clamps the network at the closest contacts of the data, puts the EAM's walls under it, begins with perturbed "
        "structures labelled by the EAM, and continues with the DFT labels, interspersed with a few batches of EAM "
        "labels as a reminder",
        "pretraining",
        Look("#0072B2", "^", "-"),
    ),
    "pretrain-only": KnownStrategy(
        Strategy(pretrain_share=0.2),
        "begins with perturbed structures labelled by the EAM, and continues with the DFT labels: the method as "
        "published",
        "pretraining alone",
        Look("#56B4E9", "D", "-."),
    ),
    "pretrain-forces": KnownStrategy(
        Strategy(pretrain_share=0.1, replay_share=0.02, base="walls", clamped=True, teacher_energies=False),
        "`pretrain` from the EAM's forces alone",
        "pretraining on forces",
        Look("#009E73", "v", ":"),
    ),
    "repair": KnownStrategy(
        Strategy(
            after="vanilla", budget=0.4, rate=0.5, pretrain_share=0.1, replay_share=0.1, base="walls", clamped=True
        ),
        "makes an already trained network stable: clamps it, puts the EAM's walls under it, and trains it for a short "
        "stage on the EAM's labels and then on both, at half the learning rate",
        "repair",
        Look("#9A6FB0", "d", "-."),
        "`repair` is an already trained vanilla network, made stable by a short stage of teacher and DFT batches; its "
        "steps and its training time include vanilla's.",
    ),
    "repair-only": KnownStrategy(
        Strategy(after="vanilla", budget=0.4, rate=0.5, pretrain_share=0.1, replay_share=0.1),
        "`repair` without walls under the network, as files of other packages cannot store them: it learns them from "
        "the EAM's labels",
        "repair without walls",
        Look("#0B6E4F", "P", ":"),
        "`repair-only` continues from vanilla as `repair` does; its steps and its training time include vanilla's.",
    ),
    "zbl-delta": KnownStrategy(
        Strategy(base="zbl"),
        "puts a nuclear repulsion (ZBL) under the network, which learns the remainder",
        "a nuclear core",
        Look("#E69F00", "P", "--"),
    ),
    WALLS: KnownStrategy(
        Strategy(base="walls", clamped=True),
        "clamps the network at the closest contacts of the data and puts the EAM's walls under it; no step is spent on "
        "EAM labels, and errors in the data are those of `vanilla`",
        "the EAM's walls alone",
        Look("#444444", "s", "-."),
    ),
    "eam-delta": KnownStrategy(
        Strategy(base="teacher"),
        "puts the EAM under the network, which learns the remainder",
        "the EAM as a base",
        Look("#8C6D31", "X", ":"),
    ),
}
STRATEGIES: dict[str, Strategy] = {name: known.strategy for name, known in KNOWN.items()}
OWN = tuple(KNOWN)
"""Keel's strategies, whose names are reserved."""
SPARE = ("#009E73", "#E69F00", "#56B4E9", "#8C6D31", "#9A6FB0", "#B15928")
"""Colours of strategies not listed here."""


def strategy_of(strategy: str | Strategy) -> Strategy:
    """Return a strategy by its name.

    Raises
    ------
    ConfigError
        If there is none with that name.
    """
    if isinstance(strategy, Strategy):
        return strategy
    if strategy not in STRATEGIES:
        discover()
    if strategy not in STRATEGIES:
        raise ConfigError(f"there is no strategy {strategy!r}; choose from {', '.join(STRATEGIES)}")
    return STRATEGIES[strategy]


def register_strategy(
    name: str,
    strategy: Strategy,
    *,
    meaning: str = "",
    subject: str | None = None,
    look: Look | None = None,
    note: str = "",
) -> None:
    """Give a strategy a name, by which runs, commands and reports know it.

    Parameters
    ----------
    name
        None of keel's own.
    strategy, meaning, subject, look, note
        See :class:`KnownStrategy`; subject and look follow from the name unless they are given.

    Raises
    ------
    ConfigError
        If keel has a strategy of this name.
    """
    if name in OWN:
        raise ConfigError(f"there is already a strategy {name!r}; give yours another name")
    KNOWN[name] = KnownStrategy(strategy, meaning, subject or f"“{name}”", look or _spare_look(name), note)
    STRATEGIES[name] = strategy
    frame = inspect.currentframe()
    if frame is not None and frame.f_back is not None:
        remember(frame.f_back.f_globals["__name__"])


def look_of(strategy: str) -> Look:
    """Return how a strategy is drawn, the same in every figure, also one that a user has made."""
    return KNOWN[strategy].look if strategy in KNOWN else _spare_look(strategy)


def _spare_look(strategy: str) -> Look:
    return Look(SPARE[sum(strategy.encode()) % len(SPARE)])


def subject_of(strategy: str) -> str:
    """Return a strategy as the subject of a sentence, which it does not begin."""
    return KNOWN[strategy].subject if strategy in KNOWN else f"“{strategy}”"
