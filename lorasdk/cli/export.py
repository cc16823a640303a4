"""`lorasdk export`: an adapter in another form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from lorasdk.cli.arguments import Adapter, Json, Set
from lorasdk.cli.output import print_json, results_console
from lorasdk.cli.progress import shown_progress
from lorasdk.cli.vllm import show_vllm_check
from lorasdk.exports import ExportResult, Format
from lorasdk.finetuner import FineTuner

Folders = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="FOLDER",
        help="Where it goes: a folder that does not exist yet. With --check, further adapters.",
        show_default=False,
    ),
]
Check = Annotated[
    str | None,
    typer.Option(help="Write nothing; say whether a server takes the adapters as they are: vllm.", metavar="SERVER"),
]
Form = Annotated[
    str, typer.Option("--format", help="merged, adapter, gguf or gguf-adapter.", metavar="FORMAT", show_default=True)
]
Dtype = Annotated[
    str | None,
    typer.Option(
        help="Type of the weights: float32 (usual), bfloat16, float16; for GGUF f16 (usual), f32, bf16, q8_0.",
        metavar="TYPE",
        show_default=False,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier export wrote there.")]
Label = Annotated[bool, typer.Option("--label", help="Keep it with a label when it answers otherwise.")]


def export(  # noqa: PLR0917 - options of a command
    adapter: Adapter,
    folders: Folders = None,
    form: Form = "merged",
    dtype: Dtype = None,
    overwrite: Overwrite = False,
    label: Label = False,
    check: Check = None,
    set_: Set = None,
    json: Json = False,
) -> None:
    """Write an adapter in another form; it is read back and compared before the folder appears."""
    if check is not None:
        _require_known(check)
        show_vllm_check([adapter, *(folders or [])], json=json)
        return
    folder = _one(folders or [])
    with FineTuner.from_adapter(adapter, overrides=set_ or ()) as tuner, shown_progress() as watcher:
        result = tuner.export(
            folder,
            format=cast("Format", form),
            dtype=dtype,
            overwrite=overwrite,
            on_difference="label" if label else "refuse",
            on_event=watcher,
        )
    if json:
        print_json(result)
    else:
        results_console().print(_told(result), soft_wrap=True, markup=False)


def _require_known(server: str) -> None:
    if server != "vllm":
        raise typer.BadParameter(f"{server!r} is not known; allowed: vllm", param_hint="--check")


def _one(folders: list[Path]) -> Path:
    if len(folders) != 1:
        raise typer.BadParameter(f"{len(folders)} folders are given; one is needed", param_hint="FOLDER")
    return folders[0]


def _told(result: ExportResult) -> str:
    measured = f"{result.largest_difference:.2g} nats from the model that it was made from"
    onto = f", merged into the {result.base} weights" if result.base else ""
    label = "" if result.verdict == "same" else f"; labelled, since {result.tolerance:g} would pass"
    return f"{result.folder} ({result.format}, {result.dtype}{onto}): at most {measured}{label}"
