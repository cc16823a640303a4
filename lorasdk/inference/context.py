"""How much a model can see at once, and how long an answer may therefore become."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lorasdk.errors import InferenceError, Problem
from lorasdk.recipe.schema import GenerationSection

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def context_of(model: PreTrainedModel) -> int | None:
    """Tokens that a model can see, where it has a limit."""
    context: int | None = model.config.get_text_config().to_dict().get("max_position_embeddings")
    return context


def room_for(ids: Sequence[int], settings: GenerationSection, context: int | None, *, place: str) -> int:
    """Most tokens of the answer to a prompt.

    Args:
        ids: the prompt.
        settings: how many are wanted.
        context: tokens that the model can see; None without limit.
        place: which prompt, for messages.

    Raises:
        InferenceError: the prompt leaves no room for an answer.
    """
    if context is None:
        return settings.max_new_tokens
    if len(ids) < context:
        return min(settings.max_new_tokens, context - len(ids))
    raise InferenceError(
        Problem(
            code="inference.prompt-too-long",
            message=f"the prompt has {len(ids)} tokens, the model's context {context}: no room for an answer",
            place=place,
            found=f"{len(ids)} tokens",
            allowed=f"at most {context - 1} tokens",
            fix="shorten the prompt",
        )
    )
