"""How far an artefact may be from the model it was made from, by the type that its values are written or computed in.

The numbers come from `benchmarks.tolerances`, which measures tiny models and the embedded one, with room above the
largest of them; `docs/export.md` has its table. They are for log-probabilities of the whole vocabulary, where unlikely
tokens move most: a bound on what changes at all, not on what matters for an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TOLERANCES: Mapping[str, float] = MappingProxyType(
    {"float32": 1e-3, "float16": 0.1, "bfloat16": 1.0, "f32": 1e-3, "f16": 0.1, "bf16": 1.0, "q8_0": 1.0}
)
"""Nats, by the type of the written weights; for an adapter, the type that it is computed in with its base."""
