"""Tries packed passes on a few tiny rows: every token sees what it should, nothing else, and gives the model's states.

What a token sees is shown exactly, in any precision: change some tokens, and the states of just those that see them
must change, to the bit. The states themselves are compared with the model's own forward on each row alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from lorasdk.basemodel.unwrapping import unwrapped
from lorasdk.data.encoding import TokenRow
from lorasdk.data.prefix_tree import PrefixTree
from lorasdk.forward.adapted_linear import untouched
from lorasdk.forward.attention_interface import UnknownAttentionError
from lorasdk.forward.packed import PackedPasses, PackInputs

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

BRANCHES = ((0, 1, 2), (0, 1, 3, 4), (0, 1, 3, 5, 6))
"""Rows that branch twice, in numbers of their tokens; those with the same number are one token of the tree."""
TOLERANCE = 1e-4
"""Relative difference of hidden states that is rounding in float32."""
HALF_TOLERANCE = 0.35
"""The same in half precision, whose rounding deep models amplify."""


@dataclass(frozen=True)
class Trial:
    """What the model's own forward makes of the rows."""

    model: PreTrainedModel | PeftModel
    rows: tuple[TokenRow, ...]
    states: tuple[torch.Tensor, ...]
    """Per row (tokens, size): hidden states of the row alone."""

    @classmethod
    def of(cls, model: PreTrainedModel | PeftModel) -> Trial:
        """Compute each row alone."""
        rows = trial_rows(model)
        decoder = unwrapped(model).get_decoder()
        inputs = (torch.tensor([row.ids], device=model.device) for row in rows)
        return cls(model, rows, tuple(decoder(input_ids=ids, use_cache=False).last_hidden_state[0] for ids in inputs))

    def failure(self, passes: PackedPasses) -> str:
        """What is wrong with these passes for this model; empty when nothing is."""
        try:
            packed = _packed_states(passes, self.rows)
            blind = _wrong_sight(passes, self.rows, packed)
        except (UnknownAttentionError, TypeError) as error:
            return f"a trial of packed rows failed: {error}"
        if blind:
            return f"in a trial, packed tokens saw other tokens than the same rows alone ({blind})"
        worst = max(_difference(ours, own[:-1]) for ours, own in zip(packed, self.states, strict=True))
        exact = self.states[0].dtype in {torch.float32, torch.float64}
        if worst <= (TOLERANCE if exact else HALF_TOLERANCE):
            return ""
        return f"in a trial, packed rows gave other hidden states than the same rows alone (by {worst:.1e})"

    def has_plain_head(self) -> bool:
        """Whether logits are exactly the hidden states times a frozen output embedding."""
        base = unwrapped(self.model)
        head = base.get_output_embeddings()
        if type(head) is not torch.nn.Linear or head.bias is not None or head.weight.requires_grad:
            return False
        logits = base(input_ids=torch.tensor([self.rows[0].ids], device=self.model.device), use_cache=False).logits
        return untouched(head) and torch.equal(logits[0], head(self.states[0]))


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Dropout off, and afterwards each module in the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def trial_rows(model: PreTrainedModel | PeftModel, changed: frozenset[int] = frozenset()) -> tuple[TokenRow, ...]:
    """The rows, with other tokens at the `changed` numbers; all tokens are different."""
    vocabulary = model.get_input_embeddings().weight.shape[0]
    first, step, count = vocabulary // 5, max(1, vocabulary // 29), max(map(max, BRANCHES)) + 1
    ids = {number: first + step * (number + count * (number in changed)) for number in range(count)}
    branches = (tuple(ids[number] for number in branch) for branch in BRANCHES)
    return tuple(TokenRow(i, row, ((1, len(row)),)) for i, row in enumerate(branches, start=1))


def _packed_states(passes: PackedPasses, rows: tuple[TokenRow, ...]) -> list[torch.Tensor]:
    """Per row (tokens − 1, size): its hidden states in a pack, without its last."""
    tree = PrefixTree.of(rows, worth=1)
    with passes.ready():
        states = passes.hidden(PackInputs.of(tree, passes.model.device))
    return [states[list(numbers)] for numbers in tree.row_targets]


def _wrong_sight(passes: PackedPasses, rows: tuple[TokenRow, ...], packed: list[torch.Tensor]) -> str:
    """A token whose state changed though it sees no changed token, or the other way round."""
    for number in sorted({number for branch in BRANCHES for number in branch}):
        others = _packed_states(passes, trial_rows(passes.model, frozenset({number})))
        for row, branch, before, after in zip(rows, BRANCHES, packed, others, strict=True):
            for at in range(len(branch) - 1):
                sees, changed = number in branch[: at + 1], not torch.equal(before[at], after[at])
                if sees != changed:
                    seen = "sees" if changed else "does not see"
                    return f"token {at + 1} of row {row.row} {seen} token {number + 1} of the tree"
    return ""


def _difference(ours: torch.Tensor, own: torch.Tensor) -> float:
    """Relative to the length of `own`; NaN counts as infinite."""
    relative = ((ours - own).norm() / own.norm()).item()
    return relative if relative == relative else float("inf")  # noqa: PLR0124 - NaN is not itself
