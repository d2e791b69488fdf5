"""An option that takes one value is refused when it is given twice: the first would be lost."""

import pytest
from typer.testing import CliRunner

from keel.cli import app
from keel.errors import ConfigError


@pytest.mark.parametrize(
    "arguments",
    [
        ["md", "a.json", "b.extxyz", "-T", "300", "-T", "600"],
        ["md", "a.json", "b.extxyz", "-T", "300", "--temperature=600"],
        ["train", "b.extxyz", "--out", "m", "--strategy", "sam", "--strategy", "vanilla"],
    ],
)
def test_once_is_enough(arguments):
    found = CliRunner().invoke(app, arguments)
    assert isinstance(found.exception, ConfigError)
    assert str(found.exception).endswith("is given twice; it takes one value")


def test_what_may_be_repeated_may():
    found = CliRunner().invoke(app, ["run", "--plugin", "none_a.py", "--plugin", "none_b.py", "c.yaml"])
    assert "none_a.py: there is no such file" in str(found.exception)
