"""Processes that share an evaluation say together what one says alone."""

import json

import pytest

import keel
from keel.cli import app
from keel.dynamics.spread import Ranks
from keel.errors import DataError
from keel.potentials.accuracy import accuracy, compared, together
from small_training import ARGON, argon

FRAMES = [f.replace(energy=f.energy + 0.01 * k, info={"part": "test"}) for k, f in enumerate(argon(7))]
FRAMES[2] = FRAMES[2].replace(forces=None)


def test_parts_are_the_whole():
    parts = [compared(ARGON, part) for part in (FRAMES[:3], [], [FRAMES[3].unlabelled()], FRAMES[3:])]
    whole = accuracy(ARGON, [*FRAMES, FRAMES[3].unlabelled()])
    assert together(parts).to_dict() == whole.to_dict()
    with pytest.raises(DataError, match="there is no frame to evaluate"):
        together([compared(ARGON, [])] * 2)
    with pytest.raises(DataError, match="none of the 1 frames has an energy"):
        together(parts[1:3])


@pytest.mark.parametrize("options", [[], ["--by", "contact"]], ids=str)
def test_the_first_process_prints_the_errors_of_all(options, tmp_path, monkeypatch, capsys):
    ARGON.save(str(tmp_path / "lj.json"))
    keel.write(tmp_path / "argon.extxyz", FRAMES)
    words = ["evaluate", str(tmp_path / "lj.json"), str(tmp_path / "argon.extxyz"), "--json", *options]
    app(words, standalone_mode=False)
    alone, kept = json.loads(capsys.readouterr().out), []

    class Two(Ranks):
        def gathered(self, compute):
            kept[:0] = compute()
            return list(kept)

    for rank in (1, 0):
        monkeypatch.setattr(Ranks, "started", lambda *_, rank=rank: Two(rank, 2, "cpu"))
        app([*words, "--devices", "2"], standalone_mode=False)
        printed = capsys.readouterr().out
        assert bool(printed) == (rank == 0)
    assert [number for _, number in kept] in ([4, 3], [3, 4])
    assert_close(json.loads(printed), alone)


def assert_close(found, expected):
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name in expected:
            assert_close(found[name], expected[name])
    elif isinstance(expected, list):
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other)
    else:
        assert found == (pytest.approx(expected, rel=1e-9) if isinstance(expected, float) else expected)
