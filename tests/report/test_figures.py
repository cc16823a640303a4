"""Numbers as people read them."""

import math

import pytest

from lorasdk.report import figures


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (figures.percent(0.8125), "81.2%"),
        (figures.percent(-0.001), "−0.1%"),
        (figures.confidence(0.95), "95%"),
        (figures.confidence(0.975), "97.5%"),
        (figures.small_percent(0.00994), "0.99%"),
        (figures.small_percent(0.0000123), "0.0012%"),
        (figures.small_percent(0.0), "0.00%"),
        (figures.points(0.475), "+47.5"),
        (figures.points(-0.05), "−5.0"),
        (figures.number(0.0312), "0.031"),
        (figures.number(0.00025), "0.00025"),
        (figures.number(3.2), "3.20"),
        (figures.number(12.34), "12.3"),
        (figures.number(-1234.5), "−1,234"),
        (figures.number(2e12), "2e+12"),
        (figures.number(0), "0.000"),
        (figures.number(math.inf), "∞"),
        (figures.number(-math.inf), "−∞"),
        (figures.number(math.nan), "no number"),
        (figures.difference(0.5), "+0.500"),
        (figures.difference(-0.5), "−0.500"),
        (figures.count(1234567), "1,234,567"),
        (figures.probability(0.00001), "< 0.001"),
        (figures.probability(0.0351), "= 0.035"),
        (figures.duration(0.04), "0.0 s"),
        (figures.duration(94), "1 min 34 s"),
        (figures.duration(7384), "2 h 3 min"),
        (figures.memory(312), "312 bytes"),
        (figures.memory(1_250_000_000), "1.2 GB"),
        (figures.memory(850_000_000), "850.0 MB"),
    ],
)
def test_a_number_is_written(written: str, expected: str):
    assert written == expected


def test_no_duration_has_sixty_seconds_or_minutes():
    said = [figures.duration(seconds / 2) for seconds in range(20_000)]
    assert [each for each in said if "60 s" in each or "60 min" in each] == []
