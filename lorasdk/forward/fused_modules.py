"""Forward functions for the parts of a decoder whose arithmetic is known, made for one instance each.

They compute what the class's own forward computes, with fewer passes over memory. The classes are named one by one,
since a module with the same children may do something else with them; the rest of a model stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from lorasdk.forward.activation_memory import ActivationMemory
from lorasdk.forward.adapted_linear import projections_of, untouched
from lorasdk.forward.attention_plan import AttentionPlan
from lorasdk.forward.gated_product import Activation, gated_product
from lorasdk.forward.pass_randomness import PassRandomness, Stream, dropped_out
from lorasdk.forward.projections import project
from lorasdk.forward.rms_norm import rms_norm
from lorasdk.forward.rotary import rotate
from lorasdk.forward.tree_attention import tree_attention

Forward: TypeAlias = Callable[..., Any]


def _classes(part: str, *families: str) -> frozenset[str]:
    """Full names of transformers' classes; names, so that no model's code is imported that nobody uses."""
    return frozenset(f"transformers.models.{f.lower()}.modeling_{f.lower()}.{f}{part}" for f in families)


FEED_FORWARDS = _classes("MLP", "Llama", "Mistral", "Qwen2", "Qwen3", "Gemma3")
PLAIN_ATTENTIONS = _classes("Attention", "Llama", "Mistral", "Qwen2")
NORMED_ATTENTIONS = _classes("Attention", "Qwen3", "Gemma3")
"""Their queries and keys are normalised per head, before they are rotated."""
NORMS = _classes("RMSNorm", "Llama", "Mistral", "Qwen2", "Qwen3")
"""w∘x̂, with ε as ``variance_epsilon``."""
ZERO_CENTRED_NORMS = _classes("RMSNorm", "Gemma3")
"""(1+w)∘x̂, with ε as ``eps``."""
ACTIVATIONS: dict[str, Activation] = {
    "torch.nn.modules.activation.SiLU": "silu",
    "transformers.activations.SiLUActivation": "silu",
    "transformers.activations.GELUTanh": "gelu_tanh",
}


@dataclass(frozen=True, slots=True)
class Fused:
    """A module and the forward that it is given for a while."""

    module: torch.nn.Module
    forward: Forward


def fuse(model: torch.nn.Module, memory: ActivationMemory, randomness: PassRandomness) -> tuple[Fused, ...]:
    """Forwards for all parts of `model` that are known.

    Args:
        model: read, not changed.
        memory: where what they keep comes from, while it is leased.
        randomness: what they draw from in training.
    """
    found: list[Fused] = []
    waiting = [model]
    while waiting:
        module = waiting.pop()
        forward = fused_forward(module, memory, randomness) or linear_forward(module, randomness)
        if forward is None:
            waiting.extend(module.children())
        else:
            found.append(Fused(module, forward))
    return tuple(found)


@contextmanager
def fused_with(parts: Sequence[Fused]) -> Iterator[None]:
    """Give modules their forwards, on the instances and never on a class, and take them away again."""
    try:
        for part in parts:
            part.module.forward = part.forward
        yield
    finally:
        for part in parts:
            vars(part.module).pop("forward", None)


def fused_forward(module: torch.nn.Module, memory: ActivationMemory, randomness: PassRandomness) -> Forward | None:
    """A forward for `module` that takes a pack, or None if it has to stay as it is."""
    if not untouched(module):
        return None
    kind = _kind(module)
    if kind in PLAIN_ATTENTIONS | NORMED_ATTENTIONS:
        return _attention(module, memory, randomness)
    if kind in FEED_FORWARDS:
        return _feed_forward(module, memory, randomness)
    if kind in NORMS | ZERO_CENTRED_NORMS:
        return _norm(module)
    return None


def linear_forward(module: torch.nn.Module, randomness: PassRandomness) -> Forward | None:
    """A forward for a single adapted layer inside of a module that stays as it is."""
    projections = projections_of(module)
    if projections is None or projections[0].update is None:
        return None
    stream = randomness.stream()

    def forward(x: torch.Tensor) -> torch.Tensor:
        (output,) = project(x.flatten(0, -2), projections, drawing=_drawing(module, stream))
        return output.view(*x.shape[:-1], -1)

    return forward


def keyed_dropouts(model: torch.nn.Module, randomness: PassRandomness) -> tuple[Fused, ...]:
    """Forwards for all dropout layers of `model`, wherever they are."""
    layers = [module for module in model.modules() if type(module) is torch.nn.Dropout and module.p]
    return tuple(Fused(layer, _dropout(layer, randomness.stream())) for layer in layers if untouched(layer))


def _dropout(module: torch.nn.Dropout, stream: Stream) -> Forward:
    return lambda x: dropped_out(x, module.p, stream) if module.training else x


def _drawing(module: torch.nn.Module, stream: Stream) -> Stream | None:
    return stream if module.training else None


def _kind(module: torch.nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"


def _norm_weight(module: Any) -> tuple[torch.Tensor, float] | None:
    """(float32 factor, ε) of a frozen norm."""
    weight = module.weight
    if weight.requires_grad or not untouched(module):
        return None
    wide = weight.detach().to(torch.float32)
    return (1 + wide, module.eps) if _kind(module) in ZERO_CENTRED_NORMS else (wide, module.variance_epsilon)


def _norm(module: Any) -> Forward | None:
    factor = _norm_weight(module)
    return None if factor is None else lambda x: rms_norm(x, *factor)


def _feed_forward(module: Any, memory: ActivationMemory, randomness: PassRandomness) -> Forward | None:
    inputs = projections_of(module.gate_proj, module.up_proj)
    output = projections_of(module.down_proj)
    activation = ACTIVATIONS.get(_kind(module.act_fn))
    if inputs is None or output is None or activation is None:
        return None
    entering, leaving = randomness.stream(), randomness.stream()

    def forward(x: torch.Tensor) -> torch.Tensor:
        gate, up = project(x.flatten(0, -2), inputs, drawing=_drawing(module, entering), lease=memory.lease)
        product = gated_product(gate, up, activation, lease=memory.lease)
        (down,) = project(product, output, drawing=_drawing(module, leaving))
        return down.view_as(x)

    return forward


def _attention(module: Any, memory: ActivationMemory, randomness: PassRandomness) -> Forward | None:
    inputs = projections_of(module.q_proj, module.k_proj, module.v_proj)
    output = projections_of(module.o_proj)
    if inputs is None or output is None:
        return None
    has_norms = _kind(module) in NORMED_ATTENTIONS
    norms = [_norm_weight(norm) for norm in ((module.q_norm, module.k_norm) if has_norms else ())]
    if None in norms:
        return None
    window = _window(module)
    entering, leaving = randomness.stream(), randomness.stream()

    def forward(
        hidden_states: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        *_args: object,
        pack: AttentionPlan,
        **_kwargs: object,
    ) -> tuple[torch.Tensor, None]:
        parts = project(hidden_states[0], inputs, drawing=_drawing(module, entering))
        q, k, v = (part.unflatten(1, (-1, module.head_dim)) for part in parts)
        if norms:
            q, k = (rms_norm(x, *factor) for x, factor in zip((q, k), norms, strict=True) if factor is not None)
        cos, sin = (table[0] for table in position_embeddings)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        attended = tree_attention(q, k, v, pack, scaling=module.scaling, window=window, lease=memory.lease)
        (answer,) = project(attended.flatten(1), output, drawing=_drawing(module, leaving))
        return answer[None], None

    return forward


def _window(module: Any) -> int | None:
    """Keys that a query of this layer sees, None for all; each family says it in its own way."""
    kind = _kind(module)
    if kind.endswith("LlamaAttention"):
        return None
    window: int | None = module.config.sliding_window if kind.endswith("MistralAttention") else module.sliding_window
    return window
