"""`lorasdk plugins new`: a package that offers one component, complete, with tests that pass."""

from __future__ import annotations

import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from lorasdk.cli.arguments import Json
from lorasdk.cli.output import errors_console, print_json, results_console
from lorasdk.cli.plugin_package import PluginPackage, write_package
from lorasdk.plugins import Listable, build_manager

Name = Annotated[str, typer.Argument(help="The component's name: letters, digits and -.", show_default=False)]
Folder = Annotated[Path, typer.Option(metavar="PATH", help="Where the package's folder is made.")]


def new(
    name: Name,
    *,
    loader: Annotated[bool, typer.Option("--loader", help="Offer a data loader; the default.")] = False,
    evaluator: Annotated[bool, typer.Option("--evaluator", help="Offer an evaluator.")] = False,
    source: Annotated[bool, typer.Option("--source", help="Offer a model source.")] = False,
    observer: Annotated[bool, typer.Option("--observer", help="Observe what running work announces.")] = False,
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Write a package lorasdk-NAME with one small component, its tests and its README, ready to be installed."""
    kinds: dict[Listable, bool] = {"loader": loader, "evaluator": evaluator, "source": source, "observer": observer}
    package = PluginPackage.called(name, _only(kinds))
    _warn_if_taken(package)
    written = write_package(package, folder)
    commands = [f"cd {shlex.quote(str(written))}", "pip install -e . pytest", "pytest", "lorasdk plugins"]
    if json:
        print_json({"folder": written, "kind": package.kind, "name": package.name, "next": commands})
        return
    console = results_console()
    console.print(f"{written} offers the {package.kind} {package.name}; next:", soft_wrap=True, markup=False)
    for command in commands:
        console.print(f"    {command}", soft_wrap=True, markup=False)


def _only(kinds: dict[Listable, bool]) -> Listable:
    given = [kind for kind, chosen in kinds.items() if chosen]
    if len(given) > 1:
        raise typer.BadParameter(f"a package begins with one component; leave out --{' or --'.join(given[1:])}")
    return given[0] if given else "loader"


def _warn_if_taken(package: PluginPackage) -> None:
    with redirect_stdout(sys.stderr):  # plugins are imported here; what one of them prints is no part of the answer
        offers = build_manager().inventory().offers
    owners = [offer.origin for offer in offers if (offer.kind, offer.name) == (package.kind, package.name)]
    if owners:
        taken = f"{' and '.join(owners)} has the {package.kind} {package.name} already"
        warning = f"[yellow]warning[/] {taken}; a recipe can use neither where both are installed"
        errors_console().print(warning, soft_wrap=True)
