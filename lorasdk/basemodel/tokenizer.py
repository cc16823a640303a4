"""Loads the tokenizer of a model folder, without going online and without running code that came with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lorasdk.basemodel.json_file import read_json_object
from lorasdk.basemodel.model_files import foreign_code
from lorasdk.basemodel.safe_versions import require_safe_versions
from lorasdk.errors import ModelError, Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TOKENIZER = "tokenizer.json"
SETTINGS = "tokenizer_config.json"


def load_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> PreTrainedTokenizerFast:
    """Load a fast tokenizer; only those can tell which characters a token came from.

    Args:
        folder: a model folder (`lorasdk.basemodel.loading.model_folder` gives one for a GGUF file).
        trust_remote_code: run Python code that comes with the model; only the host can say so.

    Raises:
        ModelError: there is no tokenizer, it cannot be read, it is a slow one, or it wants to run code that is not
            trusted; or a library has a known fault in reading it.
    """
    from lorasdk.basemodel.quiet import quiet

    require_safe_versions()
    _require_loadable(folder, trust_remote_code)
    with quiet():
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=trust_remote_code, use_fast=True
            )
        except Exception as error:  # the tokenizers library raises bare Exception for a file it cannot parse
            raise ModelError(_refused(folder, error)) from error
    if not tokenizer.is_fast:
        raise ModelError(_slow(folder, type(tokenizer).__name__))
    return tokenizer


def _require_loadable(folder: Path, trust_remote_code: bool) -> None:
    settings = [path for path in (folder / SETTINGS, folder / "config.json") if path.is_file()]
    contents = [(path, read_json_object(path, error=ModelError)) for path in settings]
    problems = [] if trust_remote_code else [p for path, content in contents for p in foreign_code(path, content)]
    if not (folder / TOKENIZER).is_file() and not (folder / SETTINGS).is_file():
        problems.append(_absent(folder))
    if problems:
        raise ModelError(*problems)


def _absent(folder: Path) -> Problem:
    return Problem(
        code="tokenizer.absent",
        message="the folder has no tokenizer",
        place=str(folder),
        field="base_model.source",
        allowed=f"{TOKENIZER} and {SETTINGS} next to the weights",
        fix="copy the tokenizer's files from the model that the weights were trained from",
    )


def _refused(folder: Path, error: Exception) -> Problem:
    return Problem(
        code="tokenizer.refused",
        message=f"transformers cannot load the tokenizer: {error}",
        place=str(folder),
        field="base_model.source",
        fix=f"fetch {TOKENIZER} again",
    )


def _slow(folder: Path, kind: str) -> Problem:
    return Problem(
        code="tokenizer.slow",
        message=f"{kind} is a slow tokenizer, which cannot tell where its tokens stand in the text",
        place=str(folder),
        allowed=f"a tokenizer with {TOKENIZER}",
        fix="convert it with transformers.convert_slow_tokenizer, or use a model that has a fast one",
    )
