"""`lorasdk serve`: answers over HTTP."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorasdk.cli.arguments import Set
from lorasdk.cli.interrupts import TERMINATED
from lorasdk.cli.output import errors_console
from lorasdk.cli.server_keys import keys_from
from lorasdk.errors import InferenceError, Problem
from lorasdk.finetuner import FineTuner
from lorasdk.serving.opening import NEEDED, create_app, require_extra
from lorasdk.serving.options import ServingOptions
from lorasdk.stopping import StopToken, stop_on_signals

if TYPE_CHECKING:
    from fastapi import FastAPI

RECIPES = {".yaml", ".yml", ".json"}
LOOPBACK_NAMES = ["localhost", "127.0.0.1", "::1", "[::1]"]
Sources = Annotated[
    list[Path],
    typer.Argument(
        metavar="ADAPTER_OR_RECIPE…",
        help="An adapter folder, or a recipe for the base model alone; then more adapters of the same base.",
        show_default=False,
    ),
]
KeyFiles = list[Path] | None
Names = list[str] | None


def serve(  # noqa: PLR0917 - options of a command
    sources: Sources,
    adapter: Annotated[Names, typer.Option(metavar="NAME=PATH", help="One more adapter, by a name of yours.")] = None,
    host: Annotated[str, typer.Option(help="Where to listen; this machine alone unless told otherwise.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 lets the system choose.", min=0, max=65535)] = 8000,
    api_key_file: Annotated[KeyFiles, typer.Option(help="Keys of clients, one a line.")] = None,
    api_key_env: Annotated[Names, typer.Option(metavar="VARIABLE", help="The same in the environment.")] = None,
    admin_key_file: Annotated[KeyFiles, typer.Option(help="Keys that load and unload adapters.")] = None,
    admin_key_env: Annotated[Names, typer.Option(metavar="VARIABLE", help="The same in the environment.")] = None,
    adapters_root: Annotated[Path | None, typer.Option(help="Folder that adapters may be loaded from.")] = None,
    without_keys: Annotated[bool, typer.Option("--without-keys", help="Let everybody in who can connect.")] = False,
    base_id: Annotated[str | None, typer.Option(help="What clients call the base model.")] = None,
    max_rows: Annotated[int, typer.Option(help="Answers computed together.")] = ServingOptions.max_rows,
    max_waiting: Annotated[int, typer.Option(help="Answers that may wait.")] = ServingOptions.max_waiting,
    max_prompt_tokens: Annotated[int | None, typer.Option(help="Longest prompt.")] = None,
    max_answer_tokens: Annotated[int, typer.Option(help="Longest answer.")] = ServingOptions.max_answer_tokens,
    queue_seconds: Annotated[float, typer.Option(help="Longest wait for a beginning.")] = ServingOptions.queue_seconds,
    answer_seconds: Annotated[float, typer.Option(help="Longest time of a request.")] = ServingOptions.answer_seconds,
    drain_seconds: Annotated[float, typer.Option(help="Time for running answers when told to stop.", min=0)] = 30.0,
    set_: Set = None,
) -> None:
    """Answer over HTTP in OpenAI's protocol, with any number of adapters on one base model."""
    require_extra((*NEEDED, "uvicorn"))
    options = ServingOptions(
        api_keys=keys_from(api_key_file or (), api_key_env or (), kind="api"),
        admin_keys=keys_from(admin_key_file or (), admin_key_env or (), kind="admin"),
        adapters_root=adapters_root,
        base_id=base_id,
        max_rows=max_rows,
        max_waiting=max_waiting,
        max_prompt_tokens=max_prompt_tokens,
        max_answer_tokens=max_answer_tokens,
        queue_seconds=queue_seconds,
        answer_seconds=answer_seconds,
    )
    _require_keys(host, options, without_keys=without_keys)
    named = [_name_and_path(text) for text in adapter or ()]
    with _opened(sources[0], set_ or ()) as tuner, _logged():
        named = [*((_recipe_name(path), path) for path in sources[1:]), *named]
        _run(tuner, named, options, (host, port), drain_seconds=drain_seconds)


def _run(
    tuner: FineTuner,
    named: Sequence[tuple[str, Path]],
    options: ServingOptions,
    address: tuple[str, int],
    *,
    drain_seconds: float,
) -> None:
    from lorasdk.serving.app import service_of
    from lorasdk.serving.running import bound, is_loopback, run_app

    app, console = create_app(tuner, options=options), errors_console()
    if is_loopback(address[0]) and not options.api_keys:
        _only_for_this_machine(app)
    with bound(*address) as listener:
        service = service_of(app)
        for name, path in named:
            service.catalogue.require_free(name)
            tuner.adapters.load(name, path)
        service.open()
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        console.print(f"models: {', '.join(service.catalogue.ids())}", markup=False)
        console.print(f"serving at http://{shown}:{port}/v1", markup=False)
        with _stop_on_signals(drain_seconds) as stop:
            run_app(app, listener, stop=stop, drain_seconds=drain_seconds)


def _require_keys(host: str, options: ServingOptions, *, without_keys: bool) -> None:
    from lorasdk.serving.running import is_loopback

    if is_loopback(host) or options.api_keys or without_keys:
        return
    raise InferenceError(
        Problem(
            code="serving.open-to-all",
            message="other machines could connect, and nobody would be asked for a key",
            field="--host",
            found=host,
            allowed="127.0.0.1, or keys",
            fix="give keys with --api-key-file or --api-key-env, or say --without-keys",
        )
    )


def _opened(source: Path, overrides: Sequence[str]) -> FineTuner:
    if source.suffix.lower() in RECIPES:
        return FineTuner.from_recipe(source, overrides=overrides)
    return FineTuner.from_adapter(source, overrides=overrides)


def _name_and_path(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise InferenceError(
            Problem("serving.bad-adapter", "is not NAME=PATH", field="--adapter", found=text, allowed="NAME=PATH")
        )
    return name, Path(path)


def _recipe_name(path: Path) -> str:
    from lorasdk.artifacts.passport import read_passport
    from lorasdk.runs.folder import find_adapter_dir

    return str(read_passport(find_adapter_dir(path.expanduser().absolute())).recipe.get("name", path.name))


def _only_for_this_machine(app: FastAPI) -> None:
    """Without keys, a page in a browser could have its own name lead to this machine and ask in its visitor's stead."""
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK_NAMES)


@contextmanager
def _stop_on_signals(drain_seconds: float) -> Iterator[StopToken]:
    """A token that Ctrl-C and SIGTERM throw.

    Raises:
        Exit: at the end of the block, when it was SIGTERM: whoever sent it looks for that code.
    """
    asked: list[signal.Signals] = []

    def heard(number: signal.Signals) -> None:
        asked.append(number)
        again = "press Ctrl-C again" if number == signal.SIGINT else "send it again"
        errors_console().print(f"finishing what was begun, for at most {drain_seconds:g} s; {again} to end at once")

    with stop_on_signals(heard=heard) as token:
        yield token
    if signal.SIGTERM in asked:
        raise typer.Exit(TERMINATED)


@contextmanager
def _logged() -> Iterator[None]:
    """Requests and faults, a line each on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    loggers = [logging.getLogger(name) for name in ("uvicorn.access", "uvicorn.error", "lorasdk")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
