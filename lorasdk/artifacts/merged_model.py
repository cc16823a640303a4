"""Writes a merged model: base and adapter as one ordinary model, and proves that it answers alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import AutoModelForCausalLM

from lorasdk.basemodel.quiet import quiet
from lorasdk.checkpoints import fault_points
from lorasdk.checkpoints.whole_folder import whole_folder
from lorasdk.errors import AdapterError, Problem

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TOLERANCE = 1e-3
"""Largest difference of a log-probability, in nats, that merging in float32 may cause."""


@dataclass(frozen=True, slots=True)
class MergedModel:
    """A merged model on disk."""

    folder: Path
    """In transformers' layout: weights, configuration, tokenizer."""
    largest_difference: float
    """Between base with adapter and the model reloaded from the folder: log-probability of any next token, nats."""


def write_merged_model(
    model: PeftModel, tokenizer: PreTrainedTokenizerBase, folder: Path, *, prompts: Sequence[Sequence[int]]
) -> MergedModel:
    """Merge in place, write, reload and compare; the folder appears only when all of it went well.

    Args:
        model: a float32 base model with its adapter; it is merged afterwards.
        tokenizer: is written too.
        folder: must not exist, or be empty.
        prompts: token ids to compare on.

    Raises:
        AdapterError: the folder is not empty, or the reloaded model answers otherwise.
        ResourceError: the disk refuses.
    """
    if folder.exists() and any(folder.iterdir()):
        raise AdapterError(_not_empty(folder))
    expected = [_log_probabilities(model, prompt) for prompt in prompts]
    with whole_folder(folder, what="the merged model", code="export.disk", parents=True) as draft:
        with quiet():
            model.merge_and_unload().save_pretrained(str(draft))
            tokenizer.save_pretrained(str(draft))
            reloaded = AutoModelForCausalLM.from_pretrained(str(draft), dtype=torch.float32, local_files_only=True)
        fault_points.reach("file-written")
        found = [_log_probabilities(reloaded.to(model.device), prompt) for prompt in prompts]
        difference = max((a - b).abs().max().item() for a, b in zip(expected, found, strict=True))
        if not difference <= TOLERANCE:
            raise AdapterError(_differs(folder, difference))
    return MergedModel(folder, difference)


@torch.inference_mode()
def _log_probabilities(model: PeftModel | PreTrainedModel, prompt: Sequence[int]) -> torch.Tensor:
    """(tokens, vocabulary): of every next token at every position."""
    model.eval()
    logits: torch.Tensor = model(input_ids=torch.tensor([list(prompt)], device=model.device)).logits[0]
    return logits.float().log_softmax(-1)


def _not_empty(folder: Path) -> Problem:
    return Problem(
        code="export.not-empty",
        message="the folder is not empty; nothing is ever overwritten",
        place=str(folder),
        fix="choose another folder, or empty this one",
    )


def _differs(folder: Path, difference: float) -> Problem:
    return Problem(
        code="export.differs",
        message=f"the merged model answers otherwise: log-probabilities differ by up to {difference:.2g} nats",
        place=str(folder),
        found=f"{difference:.2g}",
        allowed=f"at most {TOLERANCE}",
        fix="serve the adapter on its base model instead",
    )
