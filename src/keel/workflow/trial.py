"""What a run consists of."""

from __future__ import annotations

from dataclasses import dataclass

from keel.config import NetworkSettings
from keel.results.index import name_of


@dataclass(frozen=True)
class Trial:
    """One network trained with one strategy from one seed."""

    network: NetworkSettings
    strategy: str
    seed: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What identifies a trial."""
        return self.network.label, self.strategy, self.seed

    @property
    def name(self) -> str:
        """Name of the trial, also of its folders and of its potential."""
        return name_of(*self.key)
