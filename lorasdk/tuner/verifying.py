"""Checks an artefact anywhere: its files, its base model and template, and what it says against what was recorded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lorasdk.announcing import Announcer, OnEvent
from lorasdk.contracts import Row
from lorasdk.exports import VerificationReport
from lorasdk.plugins import Manager, build_manager
from lorasdk.recipe import load_recipe
from lorasdk.recipe.overrides import Overrides
from lorasdk.resolving import Resolved, resolve
from lorasdk.runs.folder import find_adapter_dir, recipe_dir_of
from lorasdk.tuner.exporting import rows_at_hand
from lorasdk.tuner.rows import TunerRows

if TYPE_CHECKING:
    from lorasdk.artifacts.export_passport import ExportPassport
    from lorasdk.artifacts.passport import Passport


def verify(  # noqa: D417 - several arguments share a line, because they are those of `FineTuner.from_recipe`
    path: str | os.PathLike[str],
    *,
    overrides: Overrides = (),
    plugins: Iterable[object] = (),
    discover: bool = True,
    blocked: Iterable[str] = (),
    allowed: Iterable[str] | None = None,
    data: Mapping[str, Iterable[Row]] | None = None,
    trust_remote_code: bool = False,
    on_event: OnEvent | None = None,
) -> VerificationReport:
    """Prove that an adapter, a merged model, a GGUF file or a GGUF adapter is the one that was written, and says so.

    In order: the hash of every file in its passport; for adapters, that the base model's weights are those of the
    training; the hash of the chat template, and the tokens of fixed prompts; and the log-probabilities that
    ``golden.json`` recorded. Test rows are asked too where the recipe's data are at hand and are the same.

    Args:
        path: an artefact's folder, a run's, or a folder of runs (the latest is taken).
        overrides: changes to the recipe in the passport, such as ``base_model.source`` on another machine.
        plugins: as in `FineTuner.from_recipe`; so are discover, blocked, allowed, trust_remote_code.
        data: rows in memory by split, in place of the recipe's.
        on_event: hears progress and notices.

    Raises:
        AdapterError: a file is absent, changed or unknown, the base model or template is another, or the artefact does
            not answer as was recorded.
        LorasdkError: the base model of an adapter cannot be loaded.
    """
    from lorasdk.artifacts.export_passport import read_any_passport
    from lorasdk.workbench.verification_run import VerificationRun

    folder = find_adapter_dir(Path(path).expanduser().absolute())
    passport = read_any_passport(folder)
    manager = build_manager(plugins, discover=discover, blocked=blocked, allowed=allowed)
    resolved = _resolved(folder, passport, manager, overrides=overrides, data=data or {})
    emit, rows = Announcer(manager, on_event), TunerRows(resolved, handed_over=frozenset(data or {}))
    return VerificationRun(
        folder=folder,
        passport=passport,
        resolved=resolved,
        test_rows=lambda: rows_at_hand(rows, passport.of_adapter, emit),
        trust_remote_code=trust_remote_code,
        emit=emit,
    ).run()


def _resolved(
    folder: Path,
    passport: Passport | ExportPassport,
    manager: Manager,
    *,
    overrides: Overrides,
    data: Mapping[str, Iterable[Row]],
) -> Resolved:
    """The recipe behind the artefact, with its base model held as it was when answers were recorded."""
    from lorasdk.workbench.verification_run import pinned

    written = passport.of_adapter.recipe
    held = {**written, "base_model": {**written["base_model"], **pinned(passport)}}
    recipe, base_dir = load_recipe(held, overrides=overrides), recipe_dir_of(folder)
    return resolve(
        recipe if base_dir is None else recipe.with_base_dir(base_dir),
        manager,
        data,
        check_data=False,
        check_model=passport.kind in {"adapter", "gguf-adapter"},
    )
