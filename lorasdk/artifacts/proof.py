"""What comparing an artefact with the model behind it gave, and what is kept of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lorasdk.artifacts.golden import GoldenPrompt, largest_difference
from lorasdk.artifacts.golden_record import GoldenRecord, record_of
from lorasdk.artifacts.passport import VerificationPart


@dataclass(frozen=True, slots=True)
class Proof:
    """A comparison."""

    verification: VerificationPart
    """Goes into the passport."""
    record: GoldenRecord | None
    """Goes beside the artefact; None where nothing was compared."""

    @property
    def same(self) -> bool:
        """Whether the artefact says the same."""
        return self.verification.verdict == "same"


def proof_of(
    prompts: Sequence[GoldenPrompt],
    *,
    expected: Sequence[torch.Tensor],
    found: Sequence[torch.Tensor],
    dtype: str,
    tolerance: float,
) -> Proof:
    """Judge what two models said.

    Args:
        prompts: what they were asked.
        expected: (positions, vocabulary) of each prompt: log-probabilities of the model behind the artefact, in nats.
        found: those of the artefact, read back from the disk.
        dtype: what both computed in.
        tolerance: largest difference that passes, in nats.
    """
    each = [_difference(a, b) for a, b in zip(expected, found, strict=True)]
    difference = float(torch.tensor(each).max())  # not a number wins
    verification = VerificationPart(
        verdict="same" if difference <= tolerance else "differs",
        prompts=sum(prompt.text is not None for prompt in prompts),
        rows=sum(prompt.text is None for prompt in prompts),
        positions=sum(prompt.positions for prompt in prompts),
        dtype=dtype,
        largest_difference=difference,
        tolerance=tolerance,
    )
    return Proof(verification, record_of(prompts, expected, dtype=dtype))


def not_proved(reason: str) -> Proof:
    """An artefact that was not compared, and why."""
    return Proof(VerificationPart(verdict="not-verified", reason=reason), None)


def _difference(expected: torch.Tensor, found: torch.Tensor) -> float:
    return largest_difference(expected, found) if expected.shape == found.shape else float("inf")
