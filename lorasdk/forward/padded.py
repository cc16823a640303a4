"""Forward passes over padded rows: for any causal language model, through nothing but its own forward."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy

from lorasdk.basemodel.unwrapping import unwrapped
from lorasdk.data.encoding import TokenRow
from lorasdk.forward.divergence import Foresight
from lorasdk.forward.fused_modules import Fused, fused_with
from lorasdk.forward.pass_randomness import PassRandomness
from lorasdk.forward.passes import RowScore

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

IGNORED = -100
"""Label of a position that the loss is not taken on, as in torch's cross-entropy."""


@dataclass(frozen=True, slots=True)
class PaddedBatch:
    """Rows padded on the left to one length, so that answers, which end rows, share their last positions."""

    input_ids: torch.Tensor
    """(rows, length) int64."""
    attention_mask: torch.Tensor
    """(rows, length) int64, 0 on padding."""
    position_ids: torch.Tensor
    """(rows, length) int64, from 0 at each row's first token."""
    keep: torch.Tensor
    """(kept,) int64: positions whose next token is supervised in at least one row."""
    labels: torch.Tensor
    """(rows, kept) int64: that next token, or `IGNORED` where it is not supervised in this row."""


def pad(rows: Sequence[TokenRow], *, device: torch.device) -> PaddedBatch:
    """Put rows into one batch; padding is masked, so its token id does not matter."""
    length = max(len(row.ids) for row in rows)
    input_ids = torch.zeros(len(rows), length, dtype=torch.long)
    mask = torch.zeros_like(input_ids)
    targets = torch.full_like(input_ids, IGNORED)
    for i, row in enumerate(rows):
        offset = length - len(row.ids)
        ids = torch.tensor(row.ids)
        input_ids[i, offset:] = ids
        mask[i, offset:] = 1
        for start, end in row.spans:
            targets[i, offset + start - 1 : offset + end - 1] = ids[start:end]
    keep = (targets != IGNORED).any(dim=0).nonzero().squeeze(1)
    tensors = (input_ids, mask, (mask.cumsum(dim=1) - 1).clamp(min=0), keep, targets[:, keep])
    return PaddedBatch(*(tensor.to(device) for tensor in tensors))


@dataclass(frozen=True)
class PaddedPasses:
    """`lorasdk.forward.passes.Passes` by padding rows of like length together."""

    model: PreTrainedModel | PeftModel
    max_tokens: int
    """Tokens of a pass, padding included; a longer row has a pass to itself."""
    max_rows: int | None = None
    """Rows of a pass."""
    dropouts: tuple[Fused, ...] = ()
    """Dropout layers with a forward of ours, while `ready`."""
    randomness: PassRandomness = field(default_factory=PassRandomness)
    """What they draw from in training."""

    @property
    def plain_head(self) -> bool:
        """No: the model's own forward gives logits and nothing else."""
        return False

    def split(self, rows: Sequence[TokenRow]) -> list[list[TokenRow]]:
        """Rows by length, as many as fit."""
        parts: list[list[TokenRow]] = []
        for row in sorted(rows, key=lambda row: len(row.ids)):
            full = not parts or (len(parts[-1]) + 1) * len(row.ids) > self.max_tokens
            if full or len(parts[-1]) == self.max_rows:
                parts.append([])
            parts[-1].append(row)
        return parts

    def limited(self, max_rows: int) -> PaddedPasses:
        """The same with at most that many rows in a pass."""
        return replace(self, max_rows=max_rows)

    def forget(self) -> None:
        """Nothing is kept between passes."""

    @contextmanager
    def ready(self, key: int = 0) -> Iterator[None]:
        """The model's dropout follows the key; all else is its own."""
        with self.randomness.keyed(key, self.model.device), fused_with(self.dropouts):
            yield

    def loss(self, rows: Sequence[TokenRow]) -> torch.Tensor:
        """Cross-entropy summed over supervised tokens, logits only where there are any."""
        logits, labels = self._logits(rows)
        return cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum")

    @torch.no_grad()
    def scores(self, rows: Sequence[TokenRow]) -> list[RowScore]:
        """Row by row."""
        logits, labels = self._logits(rows)
        nats = cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none").sum(1)
        correct = ((logits.argmax(-1) == labels) & (labels != IGNORED)).sum(1)
        found = zip(nats.tolist(), correct.tolist(), rows, strict=True)
        return [RowScore(nats, correct, row.supervised_tokens) for nats, correct, row in found]

    @torch.no_grad()
    def foresight(self, rows: Sequence[TokenRow]) -> Foresight:
        """All logits of the rows' supervised tokens."""
        logits, labels = self._logits(rows)
        supervised = labels != IGNORED
        return Foresight(logits[supervised], labels[supervised])

    def _logits(self, rows: Sequence[TokenRow]) -> tuple[torch.Tensor, torch.Tensor]:
        """(rows, kept, vocabulary) float32 logits and (rows, kept) labels."""
        batch = pad(rows, device=self.model.device)
        known = inspect.signature(unwrapped(self.model).forward).parameters
        inputs: dict[str, Any] = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        if "position_ids" in known:
            inputs["position_ids"] = batch.position_ids
        if "logits_to_keep" in known:
            logits = self.model(**inputs, use_cache=False, logits_to_keep=batch.keep).logits
        else:
            logits = self.model(**inputs, use_cache=False).logits[:, batch.keep]
        return logits.float(), batch.labels
