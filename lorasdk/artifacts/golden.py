"""Golden prompts: what an artefact and the model it came from are both asked, and how far their answers are apart.

A difference is that of the log-probability of any token of the vocabulary at any position that is looked at, in nats.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import torch

from lorasdk.contracts import Example, Message
from lorasdk.data.encoding import Encoder
from lorasdk.errors import DataError

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

FIXED_PROMPTS = ("Hello!", "What is the capital of France?", "用一句话介绍你自己。", "List three colours.\n1.")
"""Asked of every model; they say nothing of anybody's rows, so that they may lie beside an artefact."""
MOST_ROWS = 3
"""Test rows that are asked too, with their references."""
MOST_TOKENS = 256
"""Of a prompt; what is longer is cut, since a longer one would only cost more."""
POSITIONS = 32
"""At the end of a prompt, whose log-probabilities are compared: what is kept is bounded by it, not by the rows."""


@dataclass(frozen=True, slots=True)
class GoldenPrompt:
    """One row of tokens that models are compared on."""

    ids: tuple[int, ...]
    """Token ids, at least one."""
    text: str | None = None
    """The fixed prompt behind it; None for a test row."""
    row: int | None = None
    """Number of the test row in its source, from 1; None for a fixed prompt."""

    @property
    def positions(self) -> int:
        """Positions that are compared."""
        return min(POSITIONS, len(self.ids))

    @property
    def sha256(self) -> str:
        """Hash of the tokens, which tells whether a row is the same without telling what it says."""
        return hashlib.sha256(" ".join(map(str, self.ids)).encode()).hexdigest()


def golden_prompts(encoder: Encoder, test_rows: Iterable[Example]) -> tuple[GoldenPrompt, ...]:
    """The fixed prompts, then the first of the test rows, each with its reference.

    Raises:
        DataError: the chat template refuses a user's turn.
    """
    fixed = [GoldenPrompt(encode_fixed(encoder, text), text=text) for text in FIXED_PROMPTS]
    return (*fixed, *islice(golden_rows(encoder, test_rows), MOST_ROWS))


def golden_rows(encoder: Encoder, test_rows: Iterable[Example]) -> Iterator[GoldenPrompt]:
    """Test rows with their references, but for those that the chat template refuses."""
    for example in test_rows:
        with suppress(DataError):
            row = encoder.encode_example(example, train_on="last_turn", origin="test")
            # The end of a long row holds its reference, and a model reads any run of tokens.
            yield GoldenPrompt(row.ids[-MOST_TOKENS:], row=row.row)


def encode_fixed(encoder: Encoder, text: str) -> tuple[int, ...]:
    """Tokens of a fixed prompt, as one turn of a user."""
    return tuple(encoder.encode_prompt([Message("user", text)])[-MOST_TOKENS:])


@torch.inference_mode()
def log_probabilities(model: PreTrainedModel | PeftModel, prompt: GoldenPrompt) -> torch.Tensor:
    """Of every token of the vocabulary after each of the last positions.

    Returns:
        (positions, vocabulary) in float32 on the CPU, in nats.
    """
    ids = torch.tensor([prompt.ids], device=model.device)
    logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits[0, -prompt.positions :]
    return logits.float().cpu().log_softmax(-1)


def largest_difference(expected: torch.Tensor, found: torch.Tensor) -> float:
    """Between two models' log-probabilities of one prompt, in nats; not a number where either is none."""
    return float((expected - found).abs().max())


def mean_divergence(trained: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> float:
    """KL(trained ‖ other) = Σ p(token)·(ln p(token) − ln q(token)), mean over all positions, in nats."""
    each = [(p.exp() * (p - q)).sum(-1) for p, q in zip(trained, other, strict=True)]
    return float(torch.cat(each).mean())
