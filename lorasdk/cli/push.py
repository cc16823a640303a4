"""`lorasdk push`: an artefact to a model hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lorasdk.cli.arguments import Json
from lorasdk.cli.output import print_json, results_console
from lorasdk.pushing import push_to_hub

Artefact = Annotated[
    Path, typer.Argument(help="An adapter, a run, or the folder that an export wrote.", show_default=False)
]
Repository = Annotated[str, typer.Argument(metavar="ORG/NAME", help="Made if there is none.", show_default=False)]
Revision = Annotated[str | None, typer.Option(metavar="BRANCH", help="Made if needed; main when left out.")]
Public = Annotated[bool, typer.Option("--public", help="Everybody may see it.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files of a repository that has some.")]
Endpoint = Annotated[str | None, typer.Option(metavar="URL", help="Another hub.")]


def push(  # noqa: PLR0917 - options of a command
    artefact: Artefact,
    repository: Repository,
    revision: Revision = None,
    public: Public = False,
    overwrite: Overwrite = False,
    endpoint: Endpoint = None,
    json: Json = False,
) -> None:
    """Push an artefact to a model hub, private unless told otherwise; in one commit, so that all is there or nothing.

    The access token comes from HF_TOKEN, or the login of the hub's client.
    """
    result = push_to_hub(
        artefact, repository, private=not public, revision=revision, overwrite=overwrite, endpoint=endpoint
    )
    if json:
        print_json(result)
    else:
        console = results_console()
        console.print(f"{len(result.files)} files in commit {result.commit} of {result.revision}", markup=False)
        console.print(result.url, markup=False, soft_wrap=True)
