"""What only a CUDA device can show; collected everywhere, run where there is one."""

from pathlib import Path

import pytest
from tiny_model import write_tiny_model
from tiny_training import tiny_tuner


@pytest.mark.gpu
@pytest.mark.parametrize("quantization", ["none", "int8", "nf4"])
def test_training_and_answers_on_cuda(tmp_path: Path, quantization: str):
    (tmp_path / "wide").mkdir()
    wide = write_tiny_model(tmp_path / "wide", hidden=64)
    section = {"device": "cuda", "quantization": quantization, "dtype": "auto"}
    tuner = tiny_tuner(wide, tmp_path, base_model=section)
    result = tuner.train()
    assert result.steps == 2
    assert tuner.infer("hi").completion_tokens > 0
