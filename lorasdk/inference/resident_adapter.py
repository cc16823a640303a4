"""One adapter in memory apart from the base model: immutable, so that whoever answers with it keeps it whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper

from lorasdk.basemodel.base_biases import has_biases_of_its_own
from lorasdk.basemodel.low_rank import LowRank
from lorasdk.errors import InferenceError, Problem
from lorasdk.inference.adapter_state import is_plain


@dataclass(frozen=True, eq=False)
class ResidentAdapter:
    """Matrices by the path of their layer in the base model."""

    layers: Mapping[str, LowRank]
    """At least one."""

    @property
    def rank(self) -> int:
        """The largest rank of its matrices."""
        return max(layer.a.shape[0] for layer in self.layers.values())

    @property
    def bytes(self) -> int:
        """Memory that its matrices take."""
        return sum(matrix.nbytes for layer in self.layers.values() for matrix in (layer.a, layer.sb))


def adapter_on(model: PeftModel) -> ResidentAdapter:
    """The adapter on a model, with its very parameters, to answer in one batch with others.

    Raises:
        InferenceError: it does more than add matrices to linear layers.
    """
    layers = {path: layer for path, layer in model.get_base_model().named_modules() if _is_adapted(layer)}
    more = [path for path, layer in layers.items() if not is_plain(layer)]
    if more or has_biases_of_its_own(model):
        raise InferenceError(_not_mixable(more))
    return ResidentAdapter({path: _matrices(layer) for path, layer in layers.items()})


def _is_adapted(layer: object) -> bool:
    return isinstance(layer, BaseTunerLayer | AuxiliaryTrainingWrapper)


def _matrices(layer: Any) -> LowRank:  # noqa: ANN401 - PEFT has no types
    (name,) = layer.active_adapters
    return LowRank(
        a=layer.lora_A[name].weight.detach().float(),
        sb=layer.lora_B[name].weight.detach().float() * layer.scaling[name],
    )


def _not_mixable(more: list[str]) -> Problem:
    return Problem(
        code="adapter.not-mixable",
        message="the tuner's own adapter does more than add matrices to linear layers: it cannot answer beside others",
        found=", ".join(more[:3]) or "biases of the base model",
        allowed="LoRA on linear layers: no DoRA, no biases, no layers or tokens trained whole",
        fix="answer its prompts in a call of their own",
    )
