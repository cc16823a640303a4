"""Arguments that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Recipe = Annotated[Path, typer.Argument(help="The recipe's YAML or JSON file.", show_default=False)]
Adapter = Annotated[
    Path, typer.Argument(help="An adapter folder, a run's folder, or a folder of runs.", show_default=False)
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="Change one field of the recipe; may be repeated."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
