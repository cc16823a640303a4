"""The main job on the embedded model: what a newcomer's first run rests on."""

from pathlib import Path

import pytest
import torch

from lorasdk import FineTuner
from lorasdk.basemodel.quiet import quiet

QUESTION = "Answer with one word: animal or plant?\n\na large tree with needles"


@pytest.fixture(scope="module")
def trained(embedded_model_source: str, tmp_path_factory: pytest.TempPathFactory):
    rows = [
        {"instruction": "Answer with one word: animal or plant?", "input": what, "output": kind}
        for what, kind in [
            ("a small bird that sings", "animal"),
            ("a tall grass with edible seeds", "plant"),
            ("a fish of cold rivers", "animal"),
            ("a shrub with red berries", "plant"),
        ]
    ]
    folder = tmp_path_factory.mktemp("main-job")
    tuner = FineTuner.from_recipe(
        {
            "name": "kinds",
            "output_dir": str(folder),
            "base_model": {"source": embedded_model_source},
            "lora": {"rank": 4, "targets": ["q_proj", "v_proj"]},
            "training": {"max_steps": 6, "batch_size": 4, "learning_rate": 2e-3},
            "evaluation": {"max_overlap": None},
            "generation": {"max_new_tokens": 4},
        },
        data={"train": rows, "test": rows},
    )
    return tuner, tuner.train()


@pytest.mark.real
def test_the_embedded_model_learns_and_trains_a_small_share(trained):
    _, result = trained
    assert 0.001 < result.trainable_share < 0.01
    assert result.history[-1].loss < result.history[0].loss
    assert result.report is not None
    (score,) = result.report.scores
    assert score.tuned >= score.base
    assert result.report.forgetting is not None
    assert result.report.forgetting.divergence > 0
    assert (result.run_dir / "report.html").is_file()


@pytest.mark.real
def test_plain_peft_gives_the_same_logits_on_the_dense_copy(trained):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    tuner, result = trained
    tuner.infer(QUESTION)
    bench = tuner._state._bench
    with quiet():
        base = AutoModelForCausalLM.from_pretrained(bench.base.folder, dtype=bench.base.device.torch_dtype)
        plain = PeftModel.from_pretrained(base, result.adapter_dir)
    ids = torch.tensor([[1, 9690, 198, 2683, 359, 253, 5356, 2, 198]])
    with torch.inference_mode():
        assert torch.equal(plain(input_ids=ids).logits, bench.model(input_ids=ids).logits)


@pytest.mark.real
def test_another_process_answers_offline_with_a_warm_cache(trained):
    import os
    import subprocess
    import sys

    tuner, result = trained
    program = (
        "import socket, lorasdk\n"
        "def refuse(*_args, **_kwargs):\n    raise OSError('no network')\n"
        "socket.socket.connect = socket.create_connection = refuse\n"
        f"tuner = lorasdk.FineTuner.from_adapter({str(result.adapter_dir)!r})\n"
        f"print(tuner.infer({QUESTION!r}).text, end='')\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment, cwd=Path.home()
    )
    assert done.stdout == tuner.infer(QUESTION).text
