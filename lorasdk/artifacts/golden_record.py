"""``golden.json``: what the model behind an artefact said, so that the artefact can be asked again anywhere.

Of fixed prompts it holds everything; of test rows, which are somebody's, numbers and a hash: no text, no token.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from lorasdk.artifacts.golden import GoldenPrompt, log_probabilities
from lorasdk.basemodel.links import require_inside
from lorasdk.errors import AdapterError, Problem

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

FILE_NAME = "golden.json"
MAX_BYTES = 16 * 1024 * 1024
LIKELIEST = 16
"""Tokens whose log-probabilities are kept at each position."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class FixedPrompt(_Part):
    """What was said after a fixed prompt."""

    text: str
    """The user's turn."""
    ids: tuple[int, ...]
    """Its tokens, the chat template's around them."""
    tokens: tuple[tuple[int, ...], ...]
    """The likeliest next tokens at each of the last positions."""
    log_probabilities: tuple[tuple[float, ...], ...]
    """Theirs, in nats."""


class HeldOutRow(_Part):
    """What was said after a test row and its reference."""

    row: int
    """Number of the row in its source, from 1."""
    sha256: str
    """Hash of its tokens."""
    log_probabilities: tuple[tuple[float, ...], ...]
    """Of the likeliest next tokens at each of the last positions, in nats; which these are is not said."""


class GoldenRecord(_Part):
    """What an artefact is expected to say."""

    format: Literal[1] = 1
    """Version of this file's format."""
    dtype: str
    """Type that the values were computed in."""
    vocabulary: int
    """Tokens that had a probability."""
    prompts: tuple[FixedPrompt, ...]
    """The fixed prompts."""
    rows: tuple[HeldOutRow, ...]
    """The test rows."""


def record_of(prompts: Sequence[GoldenPrompt], said: Sequence[torch.Tensor], *, dtype: str) -> GoldenRecord:
    """Write down what a model said.

    Args:
        prompts: what it was asked.
        said: (positions, vocabulary) of each, in nats.
        dtype: what it computed in.
    """
    fixed, rows = [], []
    for prompt, values in zip(prompts, said, strict=True):
        likeliest = values.topk(min(LIKELIEST, values.shape[-1]), dim=-1)
        kept = tuple(tuple(_nine_digits(value) for value in position) for position in likeliest.values.tolist())
        if prompt.text is None:
            assert prompt.row is not None
            rows.append(HeldOutRow(row=prompt.row, sha256=prompt.sha256, log_probabilities=kept))
        else:
            tokens = tuple(map(tuple, likeliest.indices.tolist()))
            fixed.append(FixedPrompt(text=prompt.text, ids=prompt.ids, tokens=tokens, log_probabilities=kept))
    return GoldenRecord(dtype=dtype, vocabulary=said[0].shape[-1], prompts=tuple(fixed), rows=tuple(rows))


def difference_from(record: GoldenRecord, model: PreTrainedModel | PeftModel, rows: Sequence[GoldenPrompt]) -> float:
    """Ask a model the record's prompts, and its test rows as far as they are at hand.

    Args:
        record: what was expected.
        model: in evaluation mode.
        rows: test rows; only those of the record are asked.

    Returns:
        The largest difference, in nats.
    """
    found = [_of_fixed(prompt, model) for prompt in record.prompts]
    known = {row.sha256: row for row in rows}
    found += [_of_row(row, known[row.sha256], model) for row in record.rows if row.sha256 in known]
    # Not a number must win, and Python's max would let it depend on the order.
    return float(torch.tensor(found).max())


def rows_at_hand(record: GoldenRecord, rows: Sequence[GoldenPrompt]) -> int:
    """How many of the record's test rows can be asked again."""
    known = {row.sha256 for row in rows}
    return sum(row.sha256 in known for row in record.rows)


def read_record(folder: Path) -> GoldenRecord | None:
    """Read the record of an artefact; None where there is none.

    Raises:
        AdapterError: it is damaged, or a link out of the folder.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return None
    require_inside(path)
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
        raise AdapterError(_damaged(path, f"it is no file of at most {MAX_BYTES} bytes"))
    try:
        return GoldenRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise AdapterError(_damaged(path, str(error).splitlines()[0])) from error


def _of_fixed(prompt: FixedPrompt, model: PreTrainedModel | PeftModel) -> float:
    found = log_probabilities(model, GoldenPrompt(prompt.ids, text=prompt.text))
    if found.shape[0] != len(prompt.tokens) or max(map(max, prompt.tokens)) >= found.shape[-1]:
        return float("inf")
    there = found.gather(1, torch.tensor(prompt.tokens))
    return float((there - torch.tensor(prompt.log_probabilities)).abs().max())


def _of_row(row: HeldOutRow, prompt: GoldenPrompt, model: PreTrainedModel | PeftModel) -> float:
    expected = torch.tensor(row.log_probabilities)
    found = log_probabilities(model, prompt).topk(expected.shape[-1], dim=-1).values
    return float((found - expected).abs().max()) if found.shape == expected.shape else float("inf")


def _nine_digits(value: float) -> float:
    """As few digits as give the same float32 again."""
    return float(f"{value:.9g}")


def _damaged(path: Path, why: str) -> Problem:
    return Problem(
        code="verify.damaged-record",
        message=f"the record of what was expected cannot be read: {why}",
        place=str(path.absolute()),
        fix="restore the folder from a copy, or export again",
    )
