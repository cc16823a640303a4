"""litgpt's LoRA script on its own model code; its adapters are not PEFT's, so its held-out loss is not measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from litgpt.args import EvalArgs, TrainArgs
from litgpt.data import JSON
from litgpt.finetune.lora import setup
from litgpt.scripts.convert_hf_checkpoint import convert_hf_checkpoint

from benchmarks.job import Job, StepClock, installed

job = Job.read()
folder = Path(job.output)
checkpoint = folder / "checkpoint"
if not (checkpoint / "lit_model.pth").exists():
    shutil.copytree(job.model, checkpoint, dirs_exist_ok=True)
    convert_hf_checkpoint(checkpoint, model_name="SmolLM2-135M-Instruct")
data = folder / "data"
data.mkdir(parents=True, exist_ok=True)
rows = [{"instruction": row["prompt"], "input": "", "output": row["answer"]} for row in job.examples()]
(data / "train.json").write_text(json.dumps(rows), "utf-8")
(data / "val.json").write_text(json.dumps(rows[:1]), "utf-8")
clock = StepClock.of_optimizers()
has = set(job.targets)
micro = next(size for size in (4, 2, 1) if job.batch_size % size == 0)
setup(
    checkpoint_dir=checkpoint,
    out_dir=folder / "out",
    precision="bf16-true" if job.dtype == "bfloat16" else "32-true",
    lora_r=job.rank,
    lora_alpha=job.alpha,
    lora_dropout=0.0,
    lora_query="q_proj" in has,
    lora_key="k_proj" in has,
    lora_value="v_proj" in has,
    lora_projection="o_proj" in has,
    lora_mlp="gate_proj" in has,
    data=JSON(json_path=data, mask_prompt=True, prompt_style="smollm2", num_workers=0),
    train=TrainArgs(
        save_interval=10**6,
        log_interval=10**6,
        global_batch_size=job.batch_size,
        micro_batch_size=micro,
        lr_warmup_steps=1,
        epochs=10,
        max_steps=job.steps,
        max_seq_length=job.max_tokens,
    ),
    eval=EvalArgs(interval=10**6, max_new_tokens=1, max_iters=1, final_validation=False),
)
notes = [f"{micro} rows a forward pass; rows in an order of its own"]
clock.report(rows_per_step=job.batch_size, notes=notes, versions=installed("litgpt", "torch", "lightning")).write()
