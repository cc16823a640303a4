"""Measures validation rows with the model as it stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lorasdk.data.encoding import TokenRow
from lorasdk.forward.passes import Passes, RowScore

if TYPE_CHECKING:
    from peft import PeftModel

MAX_EXPONENT = 700.0
"""exp() of more overflows a double."""
ROWS_AT_ONCE = 256
"""Rows whose passes are planned together."""


def measure(
    model: PeftModel, passes: Passes, rows: Sequence[TokenRow], *, between: Callable[[], None]
) -> dict[str, float]:
    """Loss, perplexity and token accuracy over all supervised tokens of `rows`.

    Args:
        model: put into evaluation mode for the measurement and back afterwards.
        passes: how forward passes of the model are computed.
        rows: at least one, with supervised tokens.
        between: called before each forward pass; may raise to end the measurement.
    """
    training = model.training
    model.eval()
    scores: list[RowScore] = []
    try:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            for part in passes.split(rows[start : start + ROWS_AT_ONCE]):
                between()
                with passes.ready():
                    scores += passes.scores(part)
    finally:
        model.train(training)
    tokens = sum(score.tokens for score in scores)
    mean = math.fsum(score.nats for score in scores) / tokens
    accuracy = sum(score.correct for score in scores) / tokens
    return {"loss": mean, "perplexity": math.exp(min(mean, MAX_EXPONENT)), "token_accuracy": accuracy}
