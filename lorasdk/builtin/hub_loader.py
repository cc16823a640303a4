"""The data loader `hub`: rows of a Hugging Face data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, Strict

from lorasdk.contracts import LoadContext, Row
from lorasdk.errors import DataError, Problem

OUT_OF_REACH = frozenset(
    {"OfflineModeIsEnabled", "ConnectionError", "ConnectError", "TimeoutException", "LocalEntryNotFoundError"}
)
"""Kinds of error that say nothing about the data set: it could not be asked for."""

Text = Annotated[str, Strict(), Field(min_length=1)]


class HubOptions(BaseModel):
    """Options of the loader `hub`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    dataset: Text
    """Data set id such as `org/name`, or a folder of data files."""
    config: Text | None = None
    """Configuration (subset) of the data set."""
    split: Text = "train"
    """Split of the data set; slices such as `train[:10%]` are allowed."""
    revision: Text | None = None
    """Commit, tag or branch."""
    streaming: Annotated[bool, Strict()] = False
    """Read rows as they come instead of downloading the whole data set first."""
    token: SecretStr | None = None
    """Access token, written as `${env:HF_TOKEN}`."""


class HubLoader:
    """Rows through the `datasets` library; code in a data set's repository is never run."""

    name = "hub"
    summary = "a data set of the Hugging Face hub"
    Options = HubOptions

    def check(self, options: HubOptions, context: LoadContext) -> Sequence[Problem]:  # noqa: ARG002
        """Nothing can be said without the network."""
        return []

    def load(self, options: HubOptions, context: LoadContext) -> Iterator[Row]:
        """Yield the split's rows.

        Raises:
            DataError: the data set cannot be had; the message says whether it is absent, gated or out of reach.
        """
        try:
            yield from _open(options, context)
        except Exception as error:  # the library's, the network's and the file formats' own kinds have no common base
            raise DataError(_unavailable(options, context, error)) from error


def _open(options: HubOptions, context: LoadContext) -> Iterable[Row]:
    from datasets import load_dataset
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    local = context.base_dir / options.dataset
    bars = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        rows: Iterable[Row] = load_dataset(
            str(local) if local.is_dir() else options.dataset,
            options.config,
            split=options.split,
            revision=options.revision,
            streaming=options.streaming,
            token=options.token.get_secret_value() if options.token else None,
        )
    finally:
        if bars:
            enable_progress_bars()
    return rows


def _unavailable(options: HubOptions, context: LoadContext, error: Exception) -> Problem:
    return Problem(
        code="data.hub-unavailable",
        message=f"the data set {options.dataset!r} cannot be loaded: {type(error).__name__}: {error}",
        place=context.place,
        field=f"data.{context.split}",
        fix=_fix(_kinds(error)),
    )


def _kinds(error: BaseException | None) -> set[str]:
    """Names of an error's classes and of its causes': `datasets` tells a gated data set apart only in the cause."""
    kinds: set[str] = set()
    while error is not None:
        kinds |= {kind.__name__ for kind in type(error).__mro__}
        error = error.__cause__
    return kinds


def _fix(kinds: set[str]) -> str:
    if "GatedRepoError" in kinds:
        return "accept the data set's terms on its page and set token: ${env:HF_TOKEN}"
    if kinds & OUT_OF_REACH:
        return "connect to the network, or use a local folder"
    if "RevisionNotFoundError" in kinds:
        return "correct revision: a commit, tag or branch of the data set"
    if kinds & {"DataFilesNotFoundError", "EmptyDatasetError"}:
        return "put data files (JSON Lines, CSV, Parquet, …) into the folder"
    if kinds & {"DatasetNotFoundError", "RepositoryNotFoundError"}:
        return "check the spelling; a private data set needs token: ${env:HF_TOKEN}"
    return "check config and split, and the data files"
