"""``keel settings``: what a configuration may contain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

if TYPE_CHECKING:
    from rich.table import Table

    from keel.described import Setting


def settings(
    section: Annotated[
        str | None, typer.Argument(help="Only these, e.g. training.loss; default: all.", metavar="[SECTION]")
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema, which editors use for completion and checks.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/settings.md.")] = False,
) -> None:
    """Show every setting of a configuration (YAML) of keel run, with default, unit, range and meaning.

    For an editor: `keel settings --schema > keel-run.schema.json`, and as the first line of the configuration
    `# yaml-language-server: $schema=keel-run.schema.json`.

    Example: keel settings training.loss
    """
    from keel.config import RunSettings
    from keel.described import described, within
    from keel.potentials.networks.arguments import arguments_described
    from keel.records import json_text

    if schema:
        from keel.schema import schema_of_files

        typer.echo(json_text(schema_of_files(RunSettings)))
        return
    chosen = within([*described(RunSettings), *arguments_described()], section)
    if markdown:
        from keel.described import page

        typer.echo(page(chosen), nl=False)
        return
    _show(chosen)


def _show(chosen: list[Setting]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for section in dict.fromkeys(one.section for one in chosen):
        rows = [one for one in chosen if one.section == section and one.kind != "settings"]
        head = next((one.meaning for one in chosen if one.place == section), "")
        if section:
            console.print(f"\n[bold]{escape(section)}[/]{': ' * bool(head)}{escape(head)}")
        console.print(_table(rows))


def _table(rows: list[Setting]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(min_width=22, no_wrap=True)
    table.add_column(min_width=10, max_width=20, overflow="fold")
    table.add_column(overflow="fold")
    for one in rows:
        kind = ", ".join(filter(None, (f"{one.kind}{f' in {one.unit}' * bool(one.unit)}", one.limits)))
        table.add_row(
            Text(f"  {one.name}"), Text(one.default, "cyan"), Text.assemble(one.meaning, (f" ({kind})", "dim"))
        )
    return table
