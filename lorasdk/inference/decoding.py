"""Produces tokens for a batch of prompts, one step at a time, and holds nothing that outlives the caller's interest.

A plain generator instead of `generate`: it needs no thread to stream, draws from its own generators instead of the
host's global random state, and ends when it is closed.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from lorasdk.recipe.schema import GenerationSection

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt of a batch."""

    ids: tuple[int, ...]
    """Prompt tokens, at least one."""
    seed: int
    """Of this prompt's sampling, so that its answer does not depend on its neighbours."""
    limit: int
    """Most tokens to produce."""


def decode_batch(
    model: PreTrainedModel, requests: Sequence[Request], settings: GenerationSection, *, stop_ids: frozenset[int]
) -> Iterator[list[int | None]]:
    """Yield, per step, the next token of each request; None for a request that is finished.

    Args:
        model: a causal language model in evaluation mode.
        requests: prompts of any lengths; they are padded on the left.
        settings: temperature, top-p, top-k and repetition penalty.
        stop_ids: tokens that finish a request; they are yielded too.
    """
    state = _State.of(model, requests)
    choose = _Chooser(settings, requests, model.device)
    done = [False] * len(requests)
    for step in range(max(request.limit for request in requests)):
        tokens = choose(state.ids, state.next_logits())
        state.append(tokens)
        values = [int(token) for token in tokens]
        yield [None if finished else value for finished, value in zip(done, values, strict=True)]
        for i, (value, request) in enumerate(zip(values, requests, strict=True)):
            done[i] = done[i] or value in stop_ids or step + 1 >= request.limit
        if all(done):
            return


class _State:
    """The batch so far and its key/value cache."""

    def __init__(self, model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor) -> None:
        self.model, self.ids, self.mask = model, ids, mask
        self.cache: Any = None
        self.known = inspect.signature(model.forward).parameters

    @classmethod
    def of(cls, model: PreTrainedModel, requests: Sequence[Request]) -> _State:
        length = max(len(request.ids) for request in requests)
        # Padding repeats a token of the row itself, so that a repetition penalty sees no foreign token.
        padded = [(request.ids[0],) * (length - len(request.ids)) + request.ids for request in requests]
        mask = [[0] * (length - len(request.ids)) + [1] * len(request.ids) for request in requests]
        return cls(model, torch.tensor(padded, device=model.device), torch.tensor(mask, device=model.device))

    @torch.inference_mode()
    def next_logits(self) -> torch.Tensor:
        """(requests, vocabulary) float32."""
        fresh = self.ids if self.cache is None else self.ids[:, -1:]
        inputs: dict[str, Any] = {"attention_mask": self.mask, "past_key_values": self.cache, "use_cache": True}
        if "position_ids" in self.known:
            inputs["position_ids"] = (self.mask.cumsum(1) - 1).clamp(min=0)[:, -fresh.shape[1] :]
        if "logits_to_keep" in self.known:
            inputs["logits_to_keep"] = 1
        output = self.model(input_ids=fresh, **inputs)
        self.cache = output.past_key_values
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits

    def append(self, tokens: torch.Tensor) -> None:
        self.ids = torch.cat([self.ids, tokens[:, None]], dim=1)
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(tokens), 1)], dim=1)


class _Chooser:
    """Picks the next token of each request from its logits."""

    def __init__(self, settings: GenerationSection, requests: Sequence[Request], device: torch.device) -> None:
        self.processors = _processors(settings)
        self.greedy = settings.temperature == 0
        self.generators = [torch.Generator(device).manual_seed(request.seed) for request in requests]

    @torch.inference_mode()
    def __call__(self, ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.processors(ids, logits)
        if self.greedy:
            return scores.argmax(-1)
        chances = scores.softmax(-1)
        drawn = [torch.multinomial(row, 1, generator=g) for row, g in zip(chances, self.generators, strict=True)]
        return torch.cat(drawn)


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
