"""One pass of a model over new tokens on top of the keys and values of those before, each row with its adapter."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from lorasdk.asking import Voice
from lorasdk.inference.voices import Voices

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


class Reader:
    """Calls a model with the arguments that its forward knows; for one caller, who holds the model's lock."""

    def __init__(self, model: PreTrainedModel | PeftModel) -> None:
        self.voices = Voices(model)
        self.model = self.voices.base
        self.known = inspect.signature(self.model.forward).parameters
        # State-space models have a name of their own for what they remember.
        self.cache_name = "cache_params" if "cache_params" in self.known else "past_key_values"
        # As an index and not as a number: the slice that a number makes is not contiguous, and for such a thing the
        # output layer copies its matrix once per row.
        self.last = torch.tensor([-1], device=self.model.device)

    @torch.inference_mode()
    def read(
        self,
        ids: torch.Tensor,
        *,
        mask: torch.Tensor,
        positions: torch.Tensor,
        cache: object | None,
        voices: Sequence[Voice],
    ) -> tuple[torch.Tensor, object]:
        """Logits after the last token, and the cache with the new tokens in it.

        Args:
            ids: (rows, new) int64 tokens that the cache does not hold.
            mask: (rows, cached + new) int64, 0 on padding.
            positions: (rows, new) int64.
            cache: as the pass before gave it; changed in place. None when nothing was read yet.
            voices: who answers each row; those of one adapter side by side take the least time.

        Returns:
            (rows, vocabulary) float32, and what to give to the next pass.
        """
        inputs: dict[str, Any] = {"attention_mask": mask, self.cache_name: cache, "use_cache": True}
        if "position_ids" in self.known:
            inputs["position_ids"] = positions
        if "logits_to_keep" in self.known:
            inputs["logits_to_keep"] = self.last
        with self.voices.speaking(voices):
            output = self.model(input_ids=ids, **inputs)
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits, output[self.cache_name]
