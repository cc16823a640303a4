import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorasdk.checkpoints.manifest import FILE_NAME, read_manifest, sealed, write_manifest
from lorasdk.checkpoints.verifying import Damage, verify

MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FACTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
PARTS = st.dictionaries(
    st.sampled_from(["format", "step", "files", "facts", "more"]),
    FACTS | st.just({"../x": {"sha256": "", "size_bytes": 1}, "\0": {}}) | st.just(1),
)


def said(value: object) -> bytes:
    return sealed(json.dumps(value).encode())


def manifest(**changes: object) -> dict[str, object]:
    return {"format": 1, "step": 4, "files": {}, "facts": {}, **changes}


def test_it_is_json_for_whoever_looks_at_it(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "weights").write_bytes(b"abc")
    write_manifest(tmp_path, 7, {"seed": 3})
    shown = json.loads((tmp_path / FILE_NAME).read_text())["manifest"]
    assert (shown["step"], shown["facts"], shown["files"]["sub/weights"]["size_bytes"]) == (7, {"seed": 3}, 3)


@MANY
@given(st.dictionaries(st.text(), FACTS, max_size=4))
def test_facts_come_back_as_they_were(tmp_path: Path, facts: dict):
    (tmp_path / FILE_NAME).unlink(missing_ok=True)
    write_manifest(tmp_path, 4, facts)
    assert json.dumps(read_manifest(tmp_path).facts) == json.dumps(facts)


def test_paths_of_any_bytes_come_back_in_facts(tmp_path: Path):
    facts = {"recipe_dir": b"/data/\xff".decode("utf-8", "surrogateescape")}
    write_manifest(tmp_path, 4, facts)
    assert read_manifest(tmp_path).facts == facts


@MANY
@given(st.binary(max_size=300) | st.binary(max_size=300).map(sealed) | PARTS.map(said))
def test_any_bytes_are_a_damaged_checkpoint_and_nothing_worse(tmp_path: Path, text: bytes):
    (tmp_path / FILE_NAME).write_bytes(text)
    assert isinstance(verify(tmp_path, 4), Damage)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b", "", ".", "a\0b"])
def test_a_manifest_names_nothing_outside_its_folder(tmp_path: Path, name: str):
    record = {"sha256": "0" * 64, "size_bytes": 0}
    (tmp_path / FILE_NAME).write_bytes(said(manifest(files={name: record})))
    with pytest.raises(ValueError, match="names no file of this folder"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (sealed(b"[" * 100_000), "no JSON"),
        (said(manifest(format=2)), "format"),
        (said(manifest(step=-1)), "step"),
        (said([1]), "may not"),
    ],
)
def test_what_is_sealed_is_read_with_care_too(tmp_path: Path, text: bytes, why: str):
    (tmp_path / FILE_NAME).write_bytes(text)
    with pytest.raises(ValueError, match=why):
        read_manifest(tmp_path)


def test_every_single_bit_of_a_manifest_counts(tmp_path: Path):
    write_manifest(tmp_path, 4, {"loss": 1e-05, "name": "\x1f é"})
    path = tmp_path / FILE_NAME
    before = path.read_bytes()
    for bit in range(len(before) * 8):
        changed = bytearray(before)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=FILE_NAME):
            read_manifest(tmp_path)
