"""The core schema of YAML 1.2."""

from __future__ import annotations

import math

import pytest

from lorasdk.recipe.scalars import plain_scalar


@pytest.mark.parametrize(("text", "value"), [("2e-4", 0.0002), ("1E3", 1000.0), (".5", 0.5), ("1.", 1.0), ("+12", 12)])
def test_R6_numbers_with_and_without_point_are_numbers(text, value):
    assert plain_scalar(text) == value
    assert type(plain_scalar(text)) is type(value)


@pytest.mark.parametrize("text", ["no", "off", "NO", "yes", "on", "y", "2024-01-01", "1_000", "12:30:45", "="])
def test_R7_what_only_yaml_1_1_converts_stays_text(text):
    assert plain_scalar(text) == text


@pytest.mark.parametrize(("text", "value"), [("", None), ("~", None), ("null", None), ("true", True), ("FALSE", False)])
def test_null_and_truth_values(text, value):
    assert plain_scalar(text) is value


@pytest.mark.parametrize(("text", "value"), [("0x1F", 31), ("0o17", 15), ("017", 17)])
def test_whole_numbers_of_other_bases(text, value):
    assert plain_scalar(text) == value


def test_infinite_and_not_a_number():
    assert plain_scalar("-.inf") == -math.inf
    assert math.isnan(plain_scalar(".nan"))


def test_a_number_of_thousands_of_digits_is_read_without_failing():
    assert plain_scalar("9" * 5000) == math.inf
