"""The report says what of the data is not used."""

from types import SimpleNamespace

from keel.reporting.run.sections import _data


def test_what_is_not_used_is_said():
    census = {
        "frames": 3,
        "findings": [{"level": "note", "message": "a note"}, {"level": "warn", "message": "a doubt"}],
        "not_used": ["2 frames with stress of exactly zero"],
    }
    section = _data(SimpleNamespace(census=census))
    assert section.text == ("a note", "not used: 2 frames with stress of exactly zero")
    assert section.warnings == ("warn: a doubt",)
    del census["not_used"]  # as released versions wrote it
    assert _data(SimpleNamespace(census=census)).text == ("a note",)
