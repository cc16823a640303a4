"""The pictures of the documentation: each script draws, and what does not depend on a run is as the code is now."""

import importlib
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from tiny_training import encoder_of

import lorasdk.errors
from lorasdk import Event, FineTuner

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "docs" / "assets"
ELSEWHERE = re.compile(r"https?://(?!www\.w3\.org/|www\.textualize\.io)")
"""Addresses that a picture would ask for; names of formats, and the remark of who drew it, are none."""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(ASSETS)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


@pytest.mark.parametrize("name", ["way", "house"])
def test_a_picture_of_the_house_is_as_the_house_is(script, name: str):
    drawn = script(f"{name}_svg").draw().svg()
    assert drawn == (ASSETS / f"{name}.svg").read_text("utf-8"), f"run python docs/assets/{name}_svg.py"


def test_rooms_and_errors_on_the_way_are_real(script):
    for stage in script("way_svg").STAGES:
        assert (ROOT / "lorasdk" / stage.room / "__init__.py").exists(), stage.room
        assert issubclass(vars(lorasdk.errors)[stage.error], lorasdk.errors.LorasdkError)


def test_every_mark_in_the_picture_of_the_house_looks_down(script):
    house = script("house_svg")
    rooms = [room for floor in house.layers() for room in floor]
    drawn = house.imports(rooms)
    assert drawn
    assert all(rooms.index(here) < rooms.index(there) for here, there in drawn)


def test_shared_beginnings_and_sight_are_drawn_of_real_rows(script, tiny_model_dir: Path):
    packs = script("packs_svg")
    encoder = encoder_of(tiny_model_dir)
    drawn = packs.draw(encoder).svg()
    assert "computed once for 4 rows" in drawn
    assert drawn.count("to the end of a row") == sum(packs.SOURCES.values())
    assert drawn.count("<polygon") == len(packs.PrefixTree.of(packs.some_rows(encoder)).segments)


@pytest.mark.real
def test_the_picture_of_packs_has_the_embedded_models_tokens(script, embedded_model_source: str):
    assert embedded_model_source
    packs = script("packs_svg")
    assert packs.draw(packs.embedded_encoder()).svg() == (ASSETS / "packs.svg").read_text("utf-8")


@pytest.fixture
def recipe(tiny_model_dir: Path, tmp_path: Path) -> Path:
    rows = [{"prompt": f"Is {n} even?", "completion": "no" if n % 2 else "yes"} for n in range(8)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    path = tmp_path / "even.yaml"
    path.write_text(
        f"name: even\nbase_model: {{source: {tiny_model_dir}, dtype: float32}}\ndata: {{train: rows.jsonl}}\n"
        "training: {max_steps: 4, batch_size: 4}\n",
        "utf-8",
    )
    return path


def test_the_terminal_is_taken_half_way_with_its_bar(script, recipe: Path, tmp_path: Path):
    events: list[Event] = []
    FineTuner.from_recipe(recipe).train(on_event=events.append)
    script("terminal_svg").take_progress(events, tmp_path / "bar.svg", title="a title")
    words = plain(tmp_path / "bar.svg")
    assert "a title" in words
    assert re.search(r"2/4 loss \d", words)
    assert "trainable parameters" in words


def test_a_preview_is_taken_with_what_is_trained_on_underlined(script, recipe: Path, tmp_path: Path):
    script("terminal_svg").take_preview(recipe, tmp_path / "preview.svg")
    picture = (tmp_path / "preview.svg").read_text("utf-8")
    assert "train row 1: " in plain(tmp_path / "preview.svg")
    underlined = re.findall(r"\.(\S+) \{[^}]*text-decoration: underline", picture)
    words = re.findall(r'class="(\S+)"[^>]*>yes&lt;\|im_end\|&gt;<', picture)
    assert words
    assert set(words) <= set(underlined)


@pytest.mark.parametrize("path", sorted(ASSETS.glob("*.svg")), ids=lambda path: path.stem)
def test_a_picture_asks_nobody_for_anything(path: Path):
    asked = re.findall(r"(?:href|src|url)\s*[=(]\s*[\"']?(?!#)([^\"')]+)", path.read_text("utf-8"))
    assert [address for address in asked if ELSEWHERE.match(address)] == []


def plain(path: Path) -> str:
    words = re.sub(r"<[^>]+>", " ", path.read_text("utf-8")).replace("&#160;", " ")
    return re.sub(r" +", " ", words)
