"""How far an artefact may be from the model it was made from, by the type that its values are written or computed in.

The numbers come from `benchmarks.tolerances`, which measures tiny models and the embedded one, with room above the
largest of them; `docs/export.md` has its table. They are for log-probabilities of the whole vocabulary, where unlikely
tokens move most: a bound on what changes at all, not on what matters for an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TOLERANCES: Mapping[str, float] = MappingProxyType(
    {"float32": 1e-3, "float16": 0.2, "bfloat16": 2.0, "f32": 1e-3, "f16": 0.2, "bf16": 2.0, "q8_0": 4.0}
)
"""Nats, by the type of the written weights; for an adapter, the type that it is computed in with its base."""


def adapter_tolerance(dtype: str, *, beside: bool) -> float:
    """Largest difference that passes of an adapter that was read back, in nats.

    Args:
        dtype: what it is computed in with its base.
        beside: whether it lies on the same base in memory as the one it is compared with: the difference is then 0, but
            for kernels that add in no fixed order.
    """
    return TOLERANCES["float32"] if beside else TOLERANCES[dtype]
