"""`lorasdk plugins new`: what it writes works as it is, and it writes over nothing."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import lorasdk
from lorasdk.cli import main
from lorasdk.cli.plugin_package import LONGEST, PluginPackage, write_package

ROOT = Path(__file__).parents[2]
KINDS = ("loader", "evaluator", "source", "observer")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a new package of each kind, as an editable installation has it: metadata beside the module."""
    folder = tmp_path_factory.mktemp("packages")
    for kind in KINDS:
        add_metadata(write_package(PluginPackage.called(f"my-{kind}", kind), folder))
    return folder


def add_metadata(package: Path) -> None:
    project = tomllib.loads((package / "pyproject.toml").read_text("utf-8"))["project"]
    info = package / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    fields = {"Name": project["name"], "Version": project["version"], "Summary": project["description"]}
    lines = ["Metadata-Version: 2.1", *(f"{field}: {value}" for field, value in fields.items())]
    (info / "METADATA").write_text("\n".join(lines) + "\n", "utf-8")
    entries = [f"{name} = {value}" for name, value in project["entry-points"]["lorasdk"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[lorasdk]", *entries]) + "\n", "utf-8")


@pytest.fixture
def installed(packages: Path, monkeypatch) -> Path:
    for package in packages.iterdir():
        monkeypatch.syspath_prepend(str(package))
    return packages


@pytest.fixture
def run(capsys, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["plugins", *arguments])
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return call


def test_what_it_writes_passes_its_own_tests_at_once(packages: Path):
    paths = os.pathsep.join(str(package) for package in packages.iterdir())
    tests = [str(package / "tests") for package in packages.iterdir()]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *tests],
        cwd=packages,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert f"{2 * len(KINDS)} passed" in done.stdout


@pytest.mark.usefixtures("installed")
def test_what_it_writes_shows_up_in_the_list(run):
    code, out, err = run("--json")
    document = json.loads(out)
    mine = {offer["kind"]: offer for offer in document["offers"] if offer["origin"].startswith("lorasdk-my-")}
    assert (code, err, document["problems"], document["hints"]) == (0, "", [], [])
    assert {kind: (offer["name"], offer["usable"]) for kind, offer in mine.items()} == {
        kind: (f"my-{kind}", True) for kind in KINDS
    }
    assert all(offer["version"] == "0.1.0" and offer["summary"] for offer in mine.values())


@pytest.mark.parametrize("kind", KINDS)
def test_the_recipe_of_its_readme_is_valid(installed: Path, tmp_path: Path, kind: str):
    readme = (installed / f"lorasdk-my-{kind}" / "README.md").read_text("utf-8")
    (recipe,) = re.findall(r"^```yaml\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    (tmp_path / "recipe.yaml").write_text(recipe, "utf-8")
    for name in ("train.jsonl", "test.jsonl", "answers.txt"):
        (tmp_path / name).write_text("", "utf-8")
    (tmp_path / "models" / "my-model").mkdir(parents=True)
    (tmp_path / "models" / "my-model" / "config.json").write_text("{}", "utf-8")
    tuner = lorasdk.FineTuner.from_recipe(tmp_path / "recipe.yaml", allowed=[f"lorasdk-my-{kind}"])
    assert kind == "observer" or f"my-{kind}" in recipe
    assert tuner.recipe.name == "answers"


def test_the_examples_of_an_observers_readme_run(installed: Path, tmp_path: Path, monkeypatch):
    readme = (installed / "lorasdk-my-observer" / "README.md").read_text("utf-8")
    (recipe,) = re.findall(r"^```yaml\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    (tmp_path / "recipe.yaml").write_text(recipe, "utf-8")
    (tmp_path / "train.jsonl").write_text("", "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE):
        exec(block, names)
    assert isinstance(names["tuner"], lorasdk.FineTuner)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["a", "x" * LONGEST, "a-1-b2"])
def test_what_it_writes_is_clean(tmp_path: Path, kind: str, name: str):
    pytest.importorskip("ruff")
    package = write_package(PluginPackage.called(name, kind), tmp_path)
    house = ["--config", str(ROOT / "pyproject.toml")]
    for words in (["check"], ["check", *house], ["format", "--check"], ["format", "--check", *house]):
        command = [sys.executable, "-m", "ruff", *words, "--no-cache", "."]
        done = subprocess.run(command, cwd=package, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_it_says_what_to_type_next(run, tmp_path: Path):
    code, out, err = run("new", "My-Rows", "--folder", "a place")
    assert (code, err) == (0, "")
    assert [line.strip() for line in out.splitlines()[1:]] == [
        "cd 'a place/lorasdk-my-rows'",
        "pip install -e . pytest",
        "pytest",
        "lorasdk plugins",
    ]
    project = tomllib.loads((tmp_path / "a place" / "lorasdk-my-rows" / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"] == {"lorasdk": {"loader.my-rows": "lorasdk_my_rows:plugin"}}
    major, minor, *_ = version("lorasdk").split(".")
    assert project["dependencies"][0] == f"lorasdk>={major}.{minor}"


def test_machines_get_one_document(run):
    code, out, _ = run("new", "lorasdk-tone", "--evaluator", "--json")
    document = json.loads(out)
    assert (code, document["folder"], document["kind"], document["name"]) == (0, "lorasdk-tone", "evaluator", "tone")
    assert document["next"][0] == "cd lorasdk-tone"


def test_what_exists_is_never_overwritten(run, tmp_path: Path):
    (tmp_path / "lorasdk-rows").mkdir()
    code, out, err = run("new", "rows")
    assert (code, out) == (2, "")
    assert "plugin.folder-exists lorasdk-rows" in err
    assert list((tmp_path / "lorasdk-rows").iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_explained(run, tmp_path: Path):
    (tmp_path / "file").write_text("")
    code, _, err = run("new", "rows", "--folder", "file")
    assert (code, "plugin.disk" in err) == (3, True)


def test_a_disk_that_fills_leaves_nothing_half_written(run, tmp_path: Path, monkeypatch):
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    code, _, err = run("new", "rows")
    assert (code, "No space left on device" in err) == (3, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "near"),
    [("my_rows", "my-rows"), ("3d", "d"), ("a--b", "a-b"), ("-", "my-rows"), ("größe", "gr-e"), ("a" * 21, "a" * 20)],
)
def test_a_name_that_no_package_can_have_is_explained(run, tmp_path: Path, name: str, near: str):
    code, out, err = run("new", "--", name)
    assert (code, out) == (2, "")
    assert "plugin.bad-package-name" in err
    assert f"try '{near}'" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "kind"), [("file", "loader"), ("hub", "source"), ("my-observer", "observer")])
@pytest.mark.usefixtures("installed")
def test_a_name_that_is_taken_is_a_warning(run, tmp_path: Path, name: str, kind: str):
    code, _, err = run("new", name, f"--{kind}")
    assert (code, (tmp_path / f"lorasdk-{name}").is_dir()) == (0, True)
    assert f"has the {kind} {name} already" in err


def test_a_package_begins_with_one_kind(run, tmp_path: Path):
    code, _, err = run("new", "rows", "--loader", "--source")
    assert (code, "leave out --source" in err) == (2, True)
    assert list(tmp_path.iterdir()) == []
