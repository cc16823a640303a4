"""Takes what transformers reports about the weights it loaded, and only warns of, as errors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from lorasdk.errors import ModelError, Problem

SHOWN_KEYS = 5
MEANINGS = {
    "missing": "not in its files",
    "unexpected": "in its files and unknown to its architecture",
    "mismatched": "of another shape than its configuration says",
}


def require_complete(report: Mapping[str, Collection[object]], *, place: Path) -> None:
    """Let a model pass whose weights are all its files' own.

    Args:
        report: what ``from_pretrained(..., output_loading_info=True)`` gives; tied weights are not in it.
        place: the folder or file that was loaded.

    Raises:
        ModelError: weights are missing (and would be random), unexpected, or of another shape.
    """
    problems = [
        Problem(
            code=f"model.{kind}-weights",
            message=f"{len(keys)} of the model's weights are {meaning}",
            place=str(place),
            found=", ".join(keys[:SHOWN_KEYS]) + (", …" if len(keys) > SHOWN_KEYS else ""),
            fix="fetch the model again; if it is whole, its configuration describes another model",
        )
        for kind, meaning in MEANINGS.items()
        if (keys := sorted(map(str, report[f"{kind}_keys"])))
    ]
    if problems:
        raise ModelError(*problems)
