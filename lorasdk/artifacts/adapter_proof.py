"""Reads an adapter back from the disk and compares it with the one in memory, to the bit where both share a base."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lorasdk.artifacts.golden import GoldenPrompt, log_probabilities
from lorasdk.artifacts.proof import Proof, proof_of
from lorasdk.basemodel.loading import LoadedBase
from lorasdk.basemodel.saved_adapter import add_saved_adapter, attach_saved_adapter
from lorasdk.recipe.schema import LoraSection

if TYPE_CHECKING:
    from peft import PeftModel

READ_BACK = "read-back"
"""PEFT's name of the adapter that is compared."""
CHANGES_BASE = ("pissa", "olora", "corda", "loftq")
"""Initialisations after which the base model in memory is not the one that a saved adapter is for."""


def prove_adapter(
    model: PeftModel,
    prompts: Sequence[GoldenPrompt],
    *,
    dtype: str,
    tolerance: float,
    again: AbstractContextManager[PeftModel],
) -> Proof:
    """Compare the active adapter of a model with one that was read back.

    Args:
        model: in evaluation mode.
        prompts: what both are asked.
        dtype: what the base model computes in.
        tolerance: largest difference that passes, in nats.
        again: gives the model with the adapter from the disk; may be `model` itself, in another state.

    Raises:
        AdapterError: what was written cannot be read.
        ResourceError: there is no memory for it.
    """
    expected = [log_probabilities(model, prompt) for prompt in prompts]
    with again as other:
        found = [log_probabilities(other, prompt) for prompt in prompts]
    return proof_of(prompts, expected=expected, found=found, dtype=dtype, tolerance=tolerance)


def shares_base(section: LoraSection) -> bool:
    """Whether a second adapter of this kind can be put beside the first, on the base model in memory."""
    # Trained biases are those of the base, and PEFT lets only one adapter have them.
    return not section.init.startswith(CHANGES_BASE) and section.bias == "none"


@contextmanager
def read_back_beside(model: PeftModel, base: LoadedBase, folder: Path) -> Iterator[PeftModel]:
    """The same model with the adapter of `folder`; afterwards it is as it was."""
    active = model.active_adapter
    trained = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    add_saved_adapter(model, base, folder, name=READ_BACK)
    try:
        model.set_adapter(READ_BACK)
        yield model
    finally:
        model.set_adapter(active)
        model.delete_adapter(READ_BACK)
        for parameter, wanted in trained:
            parameter.requires_grad_(wanted)


@contextmanager
def read_back_on_its_own(load: Callable[[], LoadedBase], folder: Path) -> Iterator[PeftModel]:
    """The adapter of `folder` on a base model that is loaded for it."""
    yield attach_saved_adapter(load(), folder)
