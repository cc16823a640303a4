"""`lorasdk plugins`: what is installed, what it offers, what failed; and `lorasdk plugins new`."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import redirect_stdout
from itertools import groupby

import typer
from rich.markup import escape
from rich.table import Table

from lorasdk.cli.arguments import Json
from lorasdk.cli.output import print_json, results_console, show_problems
from lorasdk.cli.plugins_new import new
from lorasdk.plugins import Inventory, Listed, build_manager

BUILTIN = "lorasdk"
KIND_WIDTH, MAX_NAME_WIDTH = 9, 30
"""Columns; what is longer goes on in the next line."""

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
    console = results_console()
    longest = max(len(offer.name) for offer in inventory.offers)
    for origin, offers in groupby(sorted(inventory.offers, key=_origin), key=lambda offer: offer.origin):
        console.print(origin, style="bold", markup=False)
        table = Table.grid(padding=(0, 2, 0, 0))
        for width in (1, KIND_WIDTH, min(longest, MAX_NAME_WIDTH), None):
            table.add_column(width=width, overflow="fold")  # a name that is cut off could not be written into a recipe
        for offer in offers:
            table.add_row("", offer.kind, escape(offer.name), _told(offer))
        console.print(table)
    show_problems(inventory.problems)
    show_problems(inventory.hints, label="[yellow]hint[/]")


def _origin(offer: Listed) -> tuple[bool, str]:
    return offer.origin != BUILTIN, offer.origin


def _told(offer: Listed) -> str:
    return escape(offer.summary) if offer.usable else "[red]cannot be used[/]: see the error"
