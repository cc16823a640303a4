"""Forward passes over prefix trees: what rows have in common is computed once, and nothing is padded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy

from lorasdk.basemodel.unwrapping import unwrapped
from lorasdk.data.encoding import TokenRow
from lorasdk.data.packs import pack
from lorasdk.data.prefix_tree import WORTH_SHARING, PrefixTree
from lorasdk.forward.activation_memory import ActivationMemory
from lorasdk.forward.attention_interface import attending
from lorasdk.forward.attention_plan import AttentionPlan
from lorasdk.forward.constant_states import ConstantStates
from lorasdk.forward.cuda_cross_entropy import choose_head_loss
from lorasdk.forward.divergence import Foresight
from lorasdk.forward.fused_modules import Fused, fused_with
from lorasdk.forward.linear_cross_entropy import linear_surprise
from lorasdk.forward.pass_randomness import PassRandomness
from lorasdk.forward.passes import RowScore

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class PackInputs:
    """A prefix tree as tensors."""

    input_ids: torch.Tensor
    """(1, tokens) int64."""
    position_ids: torch.Tensor
    """(1, tokens) int64: each token's position in its rows."""
    attention: AttentionPlan
    """What each token sees."""
    sources: torch.Tensor
    """(targets,) int64: flat index of the token that predicts each target."""
    labels: torch.Tensor
    """(targets,) int64."""
    weights: torch.Tensor
    """(targets,) float32: rows that each target counts for."""
    constant: torch.Tensor | None = None
    """(tokens, size): states after the layers that need not be computed."""

    @classmethod
    def of(cls, tree: PrefixTree, device: torch.device) -> PackInputs:
        """Put a tree on a device."""
        ids = [i for segment in tree.segments for i in segment.ids]
        positions = [segment.position + i for segment in tree.segments for i in range(len(segment.ids))]
        numbers = (ids, positions, *([getattr(t, n) for t in tree.targets] for n in ("index", "label")))
        input_ids, position_ids, sources, labels = (
            torch.tensor(values, dtype=torch.long, device=device) for values in numbers
        )
        weights = torch.tensor([target.weight for target in tree.targets], dtype=torch.float32, device=device)
        attention = AttentionPlan.of(tree, device)
        return cls(input_ids[None], position_ids[None], attention, sources, labels, weights)


@dataclass(frozen=True)
class PackedPasses:
    """`lorasdk.forward.passes.Passes` by prefix trees, for models of attention and per-token functions."""

    model: PreTrainedModel | PeftModel
    max_tokens: int
    """Tokens that a pass computes; a longer row has a pass to itself."""
    max_rows: int | None = None
    """Rows of a pass."""
    plain_head: bool = False
    """Whether the logits are exactly the hidden states times a frozen output embedding."""
    fused: tuple[Fused, ...] = ()
    """Modules with a forward of ours, while `ready`."""
    memory: ActivationMemory = field(default_factory=ActivationMemory)
    """Where the fused modules put what they keep for the backward pass."""
    randomness: PassRandomness = field(default_factory=PassRandomness)
    """What the fused modules draw from in training."""
    leases: bool = False
    """Whether passes use the same memory again: on the host, where all is kept until the backward pass."""
    worth_sharing: int = WORTH_SHARING
    """Tokens that a shared segment must save."""
    constant: ConstantStates | None = None
    """What the lowest layers make of all rows that will come."""

    def split(self, rows: Sequence[TokenRow]) -> list[list[TokenRow]]:
        """Rows with a common beginning together, packs of about equal cost."""
        return pack(rows, max_tokens=self.max_tokens, max_rows=self.max_rows)

    def limited(self, max_rows: int) -> PackedPasses:
        """The same with at most that many rows in a pass."""
        return replace(self, max_rows=max_rows)

    def forget(self) -> None:
        """Let go of the blocks that no pass leases."""
        self.memory.forget()

    @contextmanager
    def ready(self, key: int = 0) -> Iterator[None]:
        """Our attention and forwards on this model's modules; taken off again whatever happens."""
        with ExitStack() as stack:
            stack.enter_context(self.randomness.keyed(key, self.model.device))
            stack.enter_context(attending(unwrapped(self.model)))
            stack.enter_context(fused_with(self.fused))
            yield

    def loss(self, rows: Sequence[TokenRow]) -> torch.Tensor:
        """Cross-entropy summed over supervised tokens, logits only where there are any, a chunk at a time."""
        inputs = self.inputs(rows)
        with self.memory.leased() if self.leases else nullcontext():
            return self._loss(inputs)

    def _loss(self, inputs: PackInputs) -> torch.Tensor:
        if self.plain_head:
            hidden = self.hidden(inputs)
            loss = choose_head_loss(device=hidden.device, dtype=hidden.dtype)
            return loss.nats(hidden, self._head(), inputs.labels, inputs.weights)
        return cross_entropy(self._logits(inputs), inputs.labels, reduction="none") @ inputs.weights

    @torch.no_grad()
    def scores(self, rows: Sequence[TokenRow]) -> list[RowScore]:
        """Row by row."""
        tree = PrefixTree.of(rows, worth=self.worth_sharing)
        inputs = self.inputs(rows, tree)
        if self.plain_head:
            nats, likeliest = linear_surprise(self.hidden(inputs), self._head(), inputs.labels)
        else:
            logits = self._logits(inputs)
            nats, likeliest = cross_entropy(logits, inputs.labels, reduction="none"), logits.argmax(-1) == inputs.labels
        each = list(zip(nats.tolist(), likeliest.tolist(), strict=True))
        return [
            RowScore(sum(each[i][0] for i in numbers), sum(each[i][1] for i in numbers), len(numbers))
            for numbers in tree.row_targets
        ]

    @torch.no_grad()
    def foresight(self, rows: Sequence[TokenRow]) -> Foresight:
        """Row after row, also where rows have targets in common."""
        tree = PrefixTree.of(rows, worth=self.worth_sharing)
        inputs = self.inputs(rows, tree)
        order = torch.tensor([i for numbers in tree.row_targets for i in numbers], device=inputs.labels.device)
        labels = inputs.labels[order]
        if self.plain_head:
            return Foresight(self.hidden(inputs)[order], labels, self._head())
        return Foresight(self._logits(inputs)[order], labels)

    def inputs(self, rows: Sequence[TokenRow], tree: PrefixTree | None = None) -> PackInputs:
        """The rows of one pass as tensors."""
        tree = tree or PrefixTree.of(rows, worth=self.worth_sharing)
        inputs = PackInputs.of(tree, self.model.device)
        if self.constant is None:
            return inputs
        return replace(inputs, constant=self.constant.of_tree(tree, rows).to(self.model.device))

    def hidden(self, inputs: PackInputs) -> torch.Tensor:
        """(targets, size): the states that predict the targets."""
        states: torch.Tensor = self._run(unwrapped(self.model).get_decoder(), inputs).last_hidden_state
        return states[0].index_select(0, inputs.sources)

    def _head(self) -> torch.Tensor:
        head: torch.Tensor = unwrapped(self.model).get_output_embeddings().weight
        return head

    def _logits(self, inputs: PackInputs) -> torch.Tensor:
        """(targets, vocabulary) float32, through the model's own head."""
        logits: torch.Tensor = self._run(unwrapped(self.model), inputs, logits_to_keep=inputs.sources).logits
        return logits[0].float()

    def _run(self, part: torch.nn.Module, inputs: PackInputs, **more: object) -> Any:
        skipped = self.constant.skipped(inputs.constant) if self.constant and inputs.constant is not None else ()
        with fused_with(skipped):
            return part(
                input_ids=inputs.input_ids,
                position_ids=inputs.position_ids,
                use_cache=False,
                pack=inputs.attention,
                **more,
            )
