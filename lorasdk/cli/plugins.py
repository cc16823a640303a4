"""`lorasdk plugins`: what is installed, what it offers, what failed; and `lorasdk plugins new`."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import redirect_stdout
from itertools import groupby

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from lorasdk.cli.arguments import Json
from lorasdk.cli.output import print_json, results_console, show_problems
from lorasdk.cli.plugins_new import new
from lorasdk.plugins import Inventory, Listed, build_manager

plugins = typer.Typer(name="plugins", pretty_exceptions_enable=False, add_completion=False)
plugins.command()(new)


@plugins.callback(invoke_without_command=True)
def show_plugins(context: typer.Context, json: Json = False) -> None:
    """List installed plugins: what they offer, what failed and why; `new` writes one."""
    if context.invoked_subcommand is not None:
        return
    with redirect_stdout(sys.stderr):  # plugins are imported here; what one of them prints is no part of the list
        inventory = build_manager().inventory()
    if json:
        offers = [_plain(offer) for offer in inventory.offers]
        print_json({"offers": offers, "problems": inventory.problems, "hints": inventory.hints})
    else:
        _show(inventory)


def _plain(offer: Listed) -> dict[str, object]:
    distribution, _, version = offer.origin.partition(" ")
    return {**dataclasses.asdict(offer), "distribution": distribution, "version": version}


def _show(inventory: Inventory) -> None:
    table = Table("kind", "name", "from", "what it is", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"  # a name that is cut off could not be written into a recipe
    for _, offers in groupby(inventory.offers, key=lambda offer: offer.kind):
        for offer in offers:
            table.add_row(*_cells(offer))
        table.add_section()
    results_console().print(table)
    show_problems(inventory.problems)
    show_problems(inventory.hints, label="[yellow]hint[/]")


def _cells(offer: Listed) -> tuple[str, str, str, str]:
    told = escape(offer.summary) if offer.usable else "[red]cannot be used[/]: see below"
    return offer.kind, escape(offer.name), escape(offer.origin), told
