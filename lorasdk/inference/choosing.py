"""Chooses next tokens from logits, with random generators of the rows' own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from lorasdk.recipe.schema import GenerationSection


class Chooser:
    """Picks the next token of each row of a batch."""

    def __init__(self, settings: GenerationSection, seeds: Sequence[int], device: torch.device) -> None:
        self.processors = _processors(settings)
        self.greedy = settings.temperature == 0
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def choose(self, ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """(rows,) int64.

        Args:
            ids: (rows, length) what each row consists of so far, for the repetition penalty.
            logits: (rows, vocabulary) float32.
        """
        scores: torch.Tensor = self.processors(ids, logits)
        if self.greedy:
            return scores.argmax(-1)
        chances = scores.softmax(-1)
        drawn = [torch.multinomial(row, 1, generator=g) for row, g in zip(chances, self.generators, strict=True)]
        return torch.cat(drawn)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only."""
        self.generators = [self.generators[row] for row in rows]


def _processors(settings: GenerationSection) -> LogitsProcessorList:
    processors = LogitsProcessorList()
    if settings.repetition_penalty != 1:
        processors.append(RepetitionPenaltyLogitsProcessor(settings.repetition_penalty))
    if settings.temperature not in {0, 1}:
        processors.append(TemperatureLogitsWarper(settings.temperature))
    if settings.temperature > 0 and settings.top_k is not None:
        processors.append(TopKLogitsWarper(settings.top_k))
    if settings.temperature > 0 and settings.top_p < 1:
        processors.append(TopPLogitsWarper(settings.top_p))
    return processors
