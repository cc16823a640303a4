"""What ``state.json`` of a checkpoint may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, ValidationError

Count = Annotated[StrictInt, Field(ge=0, lt=2**63)]
Number = StrictFloat | StrictInt


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Validation(_Part):
    step: Count
    metrics: dict[str, Number]


class _Course(_Part):
    history: list[tuple[Number, Number, Number]]
    validations: list[_Validation]
    best_step: Count
    tokens: Count
    peak_memory: Count


class _Watch(_Part):
    best: Number | None
    improved: Number | None
    without_improvement: Count


class _State(_Part):
    step: Count
    course: _Course
    watch: _Watch
    max_rows: Annotated[StrictInt, Field(ge=1, lt=2**31)] | None


def check_facts(facts: object) -> Mapping[str, Any]:
    """Give `facts` back if a training can go on from them.

    Raises:
        ValueError: they are not what a training writes, in one sentence.
    """
    try:
        state = _State.model_validate(facts)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:3])
        raise ValueError(wrong) from error
    if state.step != len(state.course.history):
        raise ValueError(f"it has taken {state.step} steps and remembers {len(state.course.history)}")
    assert isinstance(facts, Mapping)
    return facts
