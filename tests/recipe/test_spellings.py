"""Suggestions point at fields that exist."""

from __future__ import annotations

import re

from lorasdk.recipe.homes import recipe_homes
from lorasdk.recipe.spellings import ELSEWHERE, suggest


def test_every_translation_names_a_field_of_the_recipe():
    places = {place for homes in recipe_homes().values() for place in homes.split(" or ")}
    prose = {"<<", "trust_remote_code"}
    named = {
        key: re.findall(r"[a-z_]+(?:\.[a-z_]+)+|^output_dir$", text)
        for key, text in ELSEWHERE.items()
        if key not in prose
    }
    assert all(named.values())
    assert {name for names in named.values() for name in names} <= places


def test_no_translation_shadows_a_field_of_the_section_it_points_to():
    homes = recipe_homes()
    assert not {key for key in ELSEWHERE if ELSEWHERE[key] == homes.get(key)}


def test_a_key_that_resembles_nothing_is_to_be_deleted():
    assert suggest("qqqq", ["rank"], section="lora", homes={}) == "delete the key"
