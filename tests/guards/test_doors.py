"""The doors' runtime twin: what may be loaded, and how long it may take, before work begins."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "wordnet-kinds.yaml"
HEAVY = ("torch", "transformers", "peft", "accelerate", "bitsandbytes", "datasets", "tokenizers", "pyarrow")
EDGE = ("typer", "rich")
LIGHT_ROOMS = ("builtin", "checkpoints", "data", "plugins", "recipe", "runs")
PROGRAM = """
import json, sys, time
began = time.perf_counter()
{work}
print(json.dumps([time.perf_counter() - began, sorted(sys.modules)]))
"""
MAKE_A_TUNER = f"""
import lorasdk
lorasdk.load_recipe({str(RECIPE)!r})
lorasdk.FineTuner.from_recipe({str(RECIPE)!r})
"""


def run(work: str, *, bytecode: Path | None = None) -> tuple[float, set[str]]:
    program = [sys.executable, "-c", PROGRAM.format(work=work)]
    environment = dict(os.environ)
    if bytecode is not None:
        # What is installed is compiled once, and not at every start, as some build machines ask of Python.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["PYTHONPYCACHEPREFIX"] = str(bytecode)
    done = subprocess.run(program, capture_output=True, text=True, check=True, env=environment)
    assert done.stderr == ""
    seconds, loaded = json.loads(done.stdout.splitlines()[-1])
    return seconds, set(loaded)


def test_a_tuner_is_made_without_any_heavy_module_in_under_0_3_seconds(tmp_path: Path):
    measured = [run(MAKE_A_TUNER, bytecode=tmp_path) for _ in range(6)]
    assert measured[0][1] & {*HEAVY, *EDGE} == set()
    assert min(seconds for seconds, _ in measured) < 0.3


@pytest.mark.parametrize("room", LIGHT_ROOMS)
def test_no_module_of_a_light_room_imports_anything_heavy(room: str):
    paths = sorted((ROOT / "lorasdk" / room).rglob("*.py"))
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    _, loaded = run("import " + ", ".join(modules))
    assert loaded & {*HEAVY, *EDGE} == set()
    assert set(modules) <= loaded


def test_the_command_line_checks_a_recipe_without_any_heavy_module():
    _, loaded = run(f"""
from lorasdk.cli import main
try:
    main(["validate", {str(RECIPE)!r}])
except SystemExit as ended:
    assert not ended.code
""")
    assert loaded & set(HEAVY) == set()


def test_every_room_has_its_place_among_the_doors_and_in_the_plan():
    inside = [path for path in (ROOT / "lorasdk").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    rooms = {path.stem for path in inside} - {"__init__"}
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (layers,) = [c["layers"] for c in settings["tool"]["importlinter"]["contracts"] if c["name"].startswith("Doors: ")]
    assert set(re.findall(r"lorasdk\.(\w+)", " ".join(layers))) == rooms
    plan = re.findall(r"^[├└]── (\w+)", (ROOT / "docs" / "design.md").read_text("utf-8"), re.MULTILINE)
    assert set(plan) - {"__init__"} == rooms
