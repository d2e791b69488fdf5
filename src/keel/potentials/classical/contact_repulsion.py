"""A constant force between atoms that are closer than a contact: a wall where there are no data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from keel.atoms.elements import pair_name, pair_numbers
from keel.errors import ConfigError
from keel.parallel import plain
from keel.potentials.classical.along import Along
from keel.potentials.classical.contact import clamped
from keel.potentials.classical.pair import SIZE, PairPotential, pair_table


class ContactRepulsion(PairPotential):
    """Two atoms closer than the contact of their elements repel each other by a force that soon becomes constant.

        phi(r) = push (q(r) - r),    q(r) = r above the contact, constant from 0.2 contacts below it (:func:`clamped`)

    Above the contact it is exactly zero: predictions for structures with longer distances do not change. It has
    two continuous derivatives.

    Parameters
    ----------
    pairs
        For pairs of elements (``"O-Si"``) ``contact`` (angstrom) and ``push`` (eV/angstrom).

    Raises
    ------
    ConfigError
        If there is no pair, or a value is missing or negative.
    """

    contact: Tensor
    push: Tensor

    def __init__(self, pairs: Mapping[str, Mapping[str, float]]) -> None:
        if not pairs:
            raise ConfigError("a ContactRepulsion needs at least one pair of elements")
        known = {}
        for name, values in pairs.items():
            a, b = sorted(pair_numbers(name))
            known[a, b] = float(values.get("contact", -1.0)), float(values.get("push", -1.0))
            if not all(0.0 <= value < float("inf") for value in known[a, b]):
                raise ConfigError(f"the pair {name} needs a contact and a push, both positive")
        super().__init__(max(contact for contact, _ in known.values()), {z for pair in known for z in pair})
        self.pairs = dict(sorted(known.items()))
        for k, name in enumerate(("contact", "push")):
            table = pair_table({pair: both[k] for pair, both in self.pairs.items()})
            self.register_buffer(name, table, persistent=False)

    def config(self) -> dict[str, Any]:
        """See :class:`Potential`."""
        return {"pairs": {pair_name(*pair): {"contact": c, "push": p} for pair, (c, p) in self.pairs.items()}}

    def pair_energy(self, r: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`PairPotential`."""
        pair = first * SIZE + second
        push = self.push.index_select(0, pair)
        q, dq = clamped(r, self.contact.index_select(0, pair))
        return push * (q - r), push * (dq - 1.0)

    def along_lists(self) -> Along:
        """See :class:`keel.potentials.classical.along.AlongLists`."""
        from keel.potentials.classical.pair_along import CONTACT, PairAlong

        contact, push = (table.double().view(SIZE, SIZE) for table in (self.contact, self.push))
        values, reach = torch.stack([push, contact], dim=-1), torch.stack([contact, contact], dim=-1)
        return PairAlong(plain(torch.arange(SIZE)), plain(values), plain(reach), CONTACT)
