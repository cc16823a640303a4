"""Chooses next tokens from logits, each row by settings and with a random generator of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

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

    def __init__(self, settings: Sequence[GenerationSection], seeds: Sequence[int], device: torch.device) -> None:
        self.device = device
        self.settings = list(settings)
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        self._groups = self._grouped()

    def choose(self, ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """(rows,) int64.

        Args:
            ids: (rows, length) what each row consists of so far, for the repetition penalty.
            logits: (rows, vocabulary) float32.
        """
        if len(self._groups) == 1:
            return self._chosen(self._groups[0], ids, logits)
        tokens = ids.new_empty(len(ids))
        for group in self._groups:
            tokens[group.rows] = self._chosen(group, ids[group.rows], logits[group.rows])
        return tokens

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only."""
        self.settings = [self.settings[row] for row in rows]
        self.generators = [self.generators[row] for row in rows]
        self._groups = self._grouped()

    def join(self, other: Self) -> None:
        """Take in the rows of another."""
        self.settings += other.settings
        self.generators += other.generators
        self._groups = self._grouped()

    def _grouped(self) -> list[_Group]:
        """Rows that are chosen in the same way, together."""
        found: dict[tuple[object, ...], list[int]] = {}
        for row, settings in enumerate(self.settings):
            found.setdefault(_way(settings), []).append(row)
        return [_Group(rows, torch.tensor(rows, device=self.device), self.settings[rows[0]]) for rows in found.values()]

    def _chosen(self, group: _Group, ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = group.processors(ids, logits)
        if group.greedy:
            return scores.argmax(-1)
        generators = [self.generators[row] for row in group.numbers]
        chances = scores.softmax(-1)
        drawn = [torch.multinomial(row, 1, generator=g) for row, g in zip(chances, generators, strict=True)]
        return torch.cat(drawn)


class _Group:
    """Rows of one way to choose."""

    def __init__(self, numbers: list[int], rows: torch.Tensor, settings: GenerationSection) -> None:
        self.numbers, self.rows = numbers, rows
        self.processors, self.greedy = _processors(settings), settings.temperature == 0


def _way(settings: GenerationSection) -> tuple[object, ...]:
    return settings.temperature, settings.top_p, settings.top_k, settings.repetition_penalty


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
