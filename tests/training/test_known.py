"""Strategies with a name: each stands whole in one place, and every other place asks it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from matplotlib.lines import Line2D

from keel.errors import ConfigError
from keel.training import BASELINE, METHOD, STRATEGIES, Strategy
from keel.training.known import KNOWN, SPARE, look_of, strategy_of, subject_of

ROOT = Path(__file__).parents[2]


def test_the_documentation_says_what_each_does():
    table = dict(re.findall(r"^\| `([\w-]+)` \| (.+) \|$", (ROOT / "docs" / "training.md").read_text(), re.MULTILINE))
    assert table == {name: known.meaning for name, known in KNOWN.items()}


def test_all_look_different_and_can_be_drawn():
    looks = [known.look for known in KNOWN.values()]
    assert len(set(looks)) == len({look.colour for look in looks}) == len(KNOWN)
    for name in (*KNOWN, "one of mine"):
        look = look_of(name)
        Line2D([0], [0], color=look.colour, marker=look.marker, linestyle=look.line)


def test_a_strategy_of_a_user_has_a_look_and_a_subject():
    assert look_of("mine") == look_of("mine")
    assert look_of("mine").colour in SPARE
    assert subject_of("mine") == "“mine”"


def test_names_and_strategies():
    assert {BASELINE, METHOD} <= set(STRATEGIES)
    own = Strategy(pretrain_share=0.5)
    assert strategy_of(own) is own
    assert strategy_of("sam") == STRATEGIES["sam"]
    with pytest.raises(ConfigError, match="there is no strategy 'best'; choose from vanilla, sam, pretrain"):
        strategy_of("best")


def test_no_other_file_lists_them():
    """A new strategy touches known.py alone, and the documentation that the test above compares with it."""
    for path in sorted((ROOT / "src" / "keel").rglob("*.py")):
        if path.name != "known.py":
            # The name of a stage of training too.
            code = re.sub(r"``[^`]*``|#.*", "", path.read_text())
            assert not [name for name in KNOWN if f'"{name}"' in code and name != METHOD], path
