"""A bound that is exceeded is told and raises nothing."""

from __future__ import annotations

import math

import pytest

from lorasdk.eval_report import Forgetting
from lorasdk.evaluation.forgetting_bound import bounded
from lorasdk.events import Notice


def held(divergence: float, bound: float | None) -> tuple[Forgetting, list[Notice]]:
    notices: list[Notice] = []
    return bounded(Forgetting(40, divergence, 2.0, 2.1), bound, notices.append), notices


@pytest.mark.parametrize(("divergence", "bound"), [(0.1, None), (0.1, 0.1), (0.0, 0.1)])
def test_what_is_within_its_bound_is_not_told(divergence: float, bound: float | None):
    found, notices = held(divergence, bound)
    assert (found.bound, found.within, notices) == (bound, True, [])


@pytest.mark.parametrize("divergence", [0.1001, math.inf, math.nan])
def test_what_exceeds_its_bound_is_told_with_both_numbers(divergence: float):
    found, (notice,) = held(divergence, 0.1)
    assert not found.within
    assert notice.code == "evaluation.forgotten"
    assert f"{divergence:.3g} nats per token" in notice.message
    assert "allows 0.1" in notice.message
