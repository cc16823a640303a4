"""Whatever bytes stand in a file, its reader gives a valid result or one of our errors, and nothing else.

Random bytes seldom get far, so most of what is tried is a valid file that was cut, flipped in a bit, or whose JSON was
given values of other types, more depth, enormous numbers, double keys, NaN, or half of a surrogate pair.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from safetensors.torch import save
from tiny_runs import run
from tiny_training import load_tiny, tiny_tuner

from lorasdk import load_recipe
from lorasdk.artifacts.passport import read_passport
from lorasdk.basemodel.model_files import require_loadable
from lorasdk.basemodel.saved_adapter import attach_saved_adapter
from lorasdk.basemodel.tokenizer import load_tokenizer
from lorasdk.builtin.file_loader import FileLoader, FileOptions
from lorasdk.checkpoints.manifest import sealed, write_manifest
from lorasdk.contracts import LoadContext
from lorasdk.data.bad_rows import BadRows
from lorasdk.data.examples import read_examples
from lorasdk.engine.snapshot import Snapshot
from lorasdk.errors import LorasdkError
from lorasdk.recipe.schema import DataSource
from lorasdk.runs.event_log import read_events
from lorasdk.runs.folder import FACTS, find_adapter_dir, is_finished, recipe_dir_of
from lorasdk.runs.lock import LOCK, run_lock
from lorasdk.workbench.run_checkpoints import RunCheckpoints

TRIES = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
DEEP = b"[" * 100_000
NESTED = b'{"a":' * 700 + b"1" + b"}" * 700
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 0, 1, 2**31, 2**63, 2**64, 10**400]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "\ud800", "\0", "../../x", "/dev/zero", "CAUSAL_LM", "all-linear", ".*"]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


def broken(valid: bytes) -> st.SearchStrategy[bytes]:
    """Bytes that are like `valid`, or like nothing."""
    places = st.integers(0, max(0, len(valid) - 1))
    cut = places.map(lambda at: valid[:at])
    flipped = st.tuples(places, st.integers(0, 7)).map(lambda p: flip(valid, *p))
    replaced = st.tuples(places, st.binary(max_size=8)).map(lambda p: valid[: p[0]] + p[1] + valid[p[0] + len(p[1]) :])
    special = st.sampled_from([b"", b"null", b"[]", b"{}", b'""', b"NaN", DEEP, NESTED, b"1" * 5000, b"\xff\xfe{\0}\0"])
    return st.one_of(st.binary(max_size=64), special, cut, flipped, replaced, *altered_json(valid))


def flip(content: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(content)
    if changed:
        changed[at] ^= 1 << bit
    return bytes(changed)


def altered_json(valid: bytes) -> list[st.SearchStrategy[bytes]]:
    """The same JSON with another value at one place, and with a key that stands twice."""
    try:
        document = json.loads(valid)
    except ValueError:
        return []
    found = places_in(document)
    other = st.tuples(st.sampled_from(found), VALUES).map(lambda p: json.dumps(put(document, *p)).encode())
    twice = VALUES.map(lambda value: b'{"format": %s, ' % json.dumps(value).encode() + valid.lstrip()[1:])
    return [other, other, twice]


def places_in(value: object, at: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    return [at, *(place for key, item in inner for place in places_in(item, (*at, key)))]


def put(document: object, at: tuple[object, ...], value: object) -> object:
    if not at:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[at[0]] = put(copy[at[0]], at[1:], value)
    return copy


@dataclass(frozen=True)
class Case:
    """A file, what stands in it when all is well, and who reads it."""

    path: Path
    valid: bytes
    read: Callable[[], object]

    def survives(self, data: st.DataObject) -> None:
        self.path.write_bytes(data.draw(broken(self.valid)))
        with suppress(LorasdkError):
            self.read()


RECIPE = b"""version: 1
name: x
base_model: {source: org/name, quantization: nf4, token: "${env:PATH}"}
data:
  train: &rows {loader: file, path: rows.jsonl, columns: {output: answer}}
  validation: *rows
lora: {rank: 8, alpha: 16, dropout: 0.05, targets: [q_proj]}
training: {epochs: 3, learning_rate: 2.0e-4, keep: best, early_stopping: {patience: 2}}
evaluation: {evaluators: [exact_match, {name: choice, labels: [a, b]}]}
"""


@TRIES
@given(data=st.data())
def test_a_recipe_file(tmp_path: Path, data: st.DataObject):
    path = tmp_path / "recipe.yaml"
    as_json = json.dumps({"name": "x", "data": {"train": {"path": "a"}}, "lora": {"rank": 4}}).encode()
    valid = data.draw(st.sampled_from([RECIPE, as_json]))
    Case(path, valid, lambda: load_recipe(path).to_yaml()).survives(data)


def table() -> bytes:
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.table({"instruction": ["a", "b"], "output": ["c", None]}), sink)
    return sink.getvalue().to_pybytes()


TURNS = [
    {"role": "user", "content": "hi", "name": "n"},
    {"role": "assistant", "content": "yo", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]},
    {"role": "tool", "content": [{"type": "text", "text": "3"}], "tool_call_id": "a"},
    {"role": "assistant", "content": "3"},
]
CONVERSATION = {"messages": TURNS, "tools": [{"type": "function", "function": {"name": "f"}}]}
FILES = {
    "rows.jsonl": json.dumps(CONVERSATION).encode(),
    "rows.json": json.dumps([CONVERSATION, {"messages": TURNS[:2]}]).encode(),
    "rows.csv": b'instruction,output\n"a, ""b""\nc",d\ne,f\n',
    "rows.csv.gz": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
    "rows.parquet": table(),
}


@pytest.mark.parametrize("name", FILES)
@TRIES
@given(data=st.data())
def test_a_data_file(tmp_path: Path, name: str, data: st.DataObject):
    bad = BadRows(data.draw(st.sampled_from(["error", "skip"])))
    context = LoadContext(tmp_path, "recipe.yaml:1:1", "train", bad.report)

    def read() -> object:
        rows = FileLoader().load(FileOptions(path=name), context)
        return read_examples(rows, source=DataSource(), origin=name, bad=bad)

    Case(tmp_path / name, FILES[name], read).survives(data)


@pytest.fixture(scope="module")
def trained(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with everything that a training writes."""
    folder = tmp_path_factory.mktemp("trained")
    return tiny_tuner(tiny_model_dir, folder, data={"validation": 2}).train().run_dir


@pytest.fixture
def run_dir(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


@TRIES
@given(data=st.data())
def test_a_passport(run_dir: Path, trained: Path, data: st.DataObject):
    valid = (trained / "adapter" / "lorasdk.json").read_bytes()
    path = run_dir / "adapter" / "lorasdk.json"
    Case(path, valid, lambda: load_recipe(read_passport(path.parent).recipe)).survives(data)


@pytest.fixture(scope="module")
def base(tiny_model_dir: Path):
    return load_tiny(tiny_model_dir)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
@TRIES
@given(data=st.data())
def test_an_adapter(run_dir: Path, trained: Path, base, name: str, data: st.DataObject):
    before = {key: value.clone() for key, value in base.model.state_dict().items()}

    def read() -> None:
        attach_saved_adapter(base, run_dir / "adapter").unload()

    shutil.copytree(trained, run_dir, dirs_exist_ok=True)
    Case(run_dir / "adapter" / name, (trained / "adapter" / name).read_bytes(), read).survives(data)
    after = base.model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], value) for key, value in before.items())


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@TRIES
@given(data=st.data())
def test_a_model_folder_before_any_library_sees_it(tiny_model_dir: Path, tmp_path: Path, name: str, data):
    shutil.copytree(tiny_model_dir, tmp_path / "model", dirs_exist_ok=True)
    path = tmp_path / "model" / name
    read = lambda: require_loadable(path.parent, trust_remote_code=False)  # noqa: E731
    Case(path, (tiny_model_dir / name).read_bytes(), read).survives(data)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@TRIES
@given(data=st.data())
def test_a_tokenizer(tiny_model_dir: Path, tmp_path: Path, name: str, data: st.DataObject):
    shutil.copytree(tiny_model_dir, tmp_path / "model", dirs_exist_ok=True)
    path = tmp_path / "model" / name
    Case(path, (tiny_model_dir / name).read_bytes(), lambda: load_tokenizer(path.parent)).survives(data)


@TRIES
@given(data=st.data())
def test_the_facts_of_a_run(run_dir: Path, trained: Path, data: st.DataObject):
    def read() -> None:
        is_finished(run_dir)
        recipe_dir_of(find_adapter_dir(run_dir))

    Case(run_dir / FACTS, (trained / FACTS).read_bytes(), read).survives(data)


LOCKED = {"pid": 2**22 + 1, "host": "h", "started": "2026-01-01T00:00:00Z", "birth": "b", "key": "k"}


@TRIES
@given(data=st.data())
def test_a_lock(tmp_path: Path, data: st.DataObject):
    def read() -> None:
        with run_lock(tmp_path):
            pass

    Case(tmp_path / LOCK, json.dumps(LOCKED).encode(), read).survives(data)


@TRIES
@given(data=st.data())
def test_a_log_of_events(tmp_path: Path, trained: Path, data: st.DataObject):
    path = tmp_path / "events.jsonl"
    line = data.draw(st.sampled_from((trained / "events.jsonl").read_bytes().splitlines()))
    Case(path, line, lambda: list(read_events(path))).survives(data)


def checkpoint_of(run_dir: Path) -> Path:
    return max((run_dir / "checkpoints").glob("step-*"))


def resumed(run_dir: Path) -> object:
    """What a training does with the newest checkpoint before it takes a step."""
    kept = RunCheckpoints.open(run_dir, keep=2, emit=lambda _event: None)
    identity = {} if kept.found is None else kept.found.facts["identity"]
    start = kept.start(identity, allow=(), total_steps=kept.step)
    return kept.resumed_at, kept.changes, start


def test_a_training_reads_its_own_checkpoint(run_dir: Path):
    assert resumed(run_dir)[2] is not None


@TRIES
@given(data=st.data())
def test_a_manifest(run_dir: Path, trained: Path, data: st.DataObject):
    shutil.rmtree(run_dir)
    shutil.copytree(trained, run_dir)
    path = checkpoint_of(run_dir) / "manifest.json"
    Case(path, path.read_bytes(), lambda: resumed(run_dir)).survives(data)


@TRIES
@given(data=st.data())
def test_a_manifest_that_was_sealed_again(run_dir: Path, trained: Path, data: st.DataObject):
    shutil.rmtree(run_dir)
    shutil.copytree(trained, run_dir)
    path = checkpoint_of(run_dir) / "manifest.json"
    content = json.dumps(json.loads(path.read_bytes())["manifest"]).encode()
    path.write_bytes(sealed(data.draw(broken(content))))
    with suppress(LorasdkError):
        resumed(run_dir)


@pytest.mark.parametrize("name", ["state.json", "adapter.safetensors", "optimizer.safetensors"])
@TRIES
@given(data=st.data())
def test_a_checkpoint_whose_manifest_was_written_anew(run_dir: Path, trained: Path, name: str, data: st.DataObject):
    shutil.rmtree(run_dir)
    shutil.copytree(trained, run_dir)
    folder = checkpoint_of(run_dir)
    manifest = json.loads((folder / "manifest.json").read_bytes())["manifest"]

    def read() -> None:
        (folder / "manifest.json").unlink()
        write_manifest(folder, manifest["step"], manifest["facts"])
        resumed(run_dir)

    Case(folder / name, (folder / name).read_bytes(), read).survives(data)


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """Of a training of seven steps, after the third."""
    kept: list[Snapshot] = []
    run(keep=kept.append)
    return kept[0]


CHANGES = st.sampled_from(["gone", "surplus", "shape", "type", "nan"])


@settings(TRIES, max_examples=15)
@given(data=st.data())
def test_a_training_goes_on_from_its_own_parameters_only(snapshot: Snapshot, tmp_path: Path, data: st.DataObject):
    name = data.draw(st.sampled_from(["adapter", "optimizer"]))
    tensors = dict(getattr(snapshot, name))
    key = data.draw(st.sampled_from(sorted(tensors)))
    match data.draw(CHANGES):
        case "gone":
            del tensors[key]
        case "surplus":
            tensors["../../x"] = torch.ones(1)
        case "shape":
            tensors[key] = torch.ones(3, 1, 2)
        case "type":
            tensors[key] = tensors[key].to(torch.bool)
        case "nan":
            tensors[key] = torch.full_like(tensors[key], torch.nan)
    folder = tmp_path / "snapshot"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    snapshot.write(folder)
    (folder / f"{name}.safetensors").write_bytes(save(tensors))
    with suppress(LorasdkError):
        run(start=Snapshot.read(folder))
