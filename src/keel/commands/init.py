"""keel init: the configuration that keel makes from data files, written to a file for editing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from keel.commands.run import Networks
from keel.errors import ConfigError
from keel.files import Output
from keel.kinds import readable


def init(
    files: Annotated[list[str], typer.Argument(help=f"Labelled structures: {readable()}.")],
    out: Annotated[
        Path | None,
        Output((".yaml", ".yml")),
        typer.Option(help="File to write; default: the name of the first data file, with .yaml."),
    ] = None,
    network: Networks = None,
) -> None:
    """Write the configuration that keel run FILES would use, each setting with a comment, for you to review and edit.

    Example: keel init zeolites-pbe-d3.extxyz

    writes zeolites-pbe-d3.yaml, for keel run zeolites-pbe-d3.yaml.
    """
    from keel.files import replace_file
    from keel.progress import console
    from keel.workflow.planning.commented import commented
    from keel.workflow.planning.proposal import name_of, propose, read_files

    path = out or Path(f"{name_of(files[0])}.yaml")
    if path.exists():
        raise ConfigError(f"{path} already exists; name another file with --out, or delete it")
    proposal = propose([_seen_from(path.parent, name) for name in files], read_files(files), network or ())
    text = commented(proposal, f"keel run {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    console.print(f"configuration: {path}; run it with keel run {path}", soft_wrap=True)


def _seen_from(folder: Path, file: str) -> str:
    """Return the path of a file as written in a configuration in a folder."""
    if file == "phosphorus" or Path(file).is_absolute():
        return file
    return os.path.relpath(file, folder)
