"""Files of unknown origin are not shown to libraries that are known to run code in them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from tiny_training import load_tiny

from lorasdk.basemodel import safe_versions
from lorasdk.basemodel.safe_versions import FIRST_SAFE, require_safe_versions
from lorasdk.basemodel.tokenizer import load_tokenizer
from lorasdk.errors import ModelError


@pytest.fixture
def old_torch(monkeypatch):
    found = {"torch": "2.5.1+cu124", "transformers": "5.23.0", "jinja2": "3.1.6"}
    monkeypatch.setattr(safe_versions, "version", found.__getitem__)


@pytest.mark.usefixtures("old_torch")
@pytest.mark.parametrize("load", [load_tiny, load_tokenizer])
def test_a_library_with_a_known_fault_reads_nothing(load, tiny_model_dir: Path):
    with pytest.raises(ModelError) as caught:
        load(tiny_model_dir)
    (problem,) = caught.value.problems
    assert (problem.code, problem.found) == ("model.unsafe-library", "torch 2.5.1+cu124")
    assert problem.allowed == "torch 2.6 or newer"


def test_all_of_them_are_told_at_once(monkeypatch):
    monkeypatch.setattr(safe_versions, "version", lambda _name: "1.0")
    with pytest.raises(ModelError) as caught:
        require_safe_versions()
    assert len(caught.value.problems) == len(FIRST_SAFE)


def test_the_first_safe_versions_pass(monkeypatch):
    monkeypatch.setattr(safe_versions, "version", FIRST_SAFE.__getitem__)
    require_safe_versions()


def test_the_packages_own_requirements_are_no_weaker():
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    asked = {r.name: r for r in map(Requirement, settings["project"]["dependencies"])}
    for name, first in FIRST_SAFE.items():
        (least,) = (Version(s.version) for s in asked[name].specifier if s.operator == ">=")
        assert least >= Version(first)
