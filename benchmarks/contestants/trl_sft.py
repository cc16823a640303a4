"""TRL's SFTTrainer: at its defaults, or at its best on a CPU.

`default` in argv[2]: what `SFTConfig()` says, gradient checkpointing among it; only what makes the task the same is
set. `best`: packed to 1024 tokens or the longest row, no checkpointing, bfloat16 weights, loss on the answer alone.
Packs are made before batches, so a step holds about as many rows as asked, not exactly.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

from benchmarks.job import Job, StepClock, installed

job, best = Job.read(), sys.argv[2] == "best"
tokenizer = AutoTokenizer.from_pretrained(job.model)
rows = [
    {
        "prompt": [{"role": "user", "content": row["prompt"]}],
        "completion": [{"role": "assistant", "content": row["answer"]}],
    }
    for row in job.examples()
]
common: dict[str, Any] = {
    "output_dir": job.output,
    "learning_rate": job.learning_rate,
    "lr_scheduler_type": "constant",
    "max_grad_norm": 0.0,
    "report_to": [],
    "save_strategy": "no",
    "logging_strategy": "no",
    "use_cpu": job.device == "cpu",
}
PACK = max(1024, job.max_tokens)
dtype = getattr(torch, job.dtype) if best else None
model = AutoModelForCausalLM.from_pretrained(job.model, **({"dtype": dtype} if best else {}))
if best:
    # One pack at a time: a flattened batch of several costs attention over all of them on a CPU.
    common |= {
        "packing": True,
        "max_length": PACK,
        "per_device_train_batch_size": 1,
        "gradient_checkpointing": False,
        "bf16": False,
        "num_train_epochs": 1,
    }
else:
    common |= {"per_device_train_batch_size": job.batch_size, "max_steps": job.steps}


def trainer(accumulate: int) -> SFTTrainer:
    return SFTTrainer(
        model=model,
        args=SFTConfig(**common, gradient_accumulation_steps=accumulate),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=job.rank, lora_alpha=job.alpha, target_modules=list(job.targets), task_type="CAUSAL_LM"
        ),
    )


clock = StepClock.of_optimizers()
rows_per_step: float = job.batch_size
notes = []
if best:
    packs = len(trainer(1).train_dataset)
    model = AutoModelForCausalLM.from_pretrained(job.model, dtype=dtype)
    accumulate = max(1, round(packs / job.steps))
    rows_per_step = len(rows) / packs * accumulate
    notes.append(f"packs of up to {PACK} tokens, {accumulate} a step, {rows_per_step:.1f} rows a step on average")
    tuned = trainer(accumulate)
else:
    tuned = trainer(1)
tuned.train()
tuned.save_model(f"{job.output}/adapter")
versions = installed("trl", "torch", "transformers", "peft")
clock.report(rows_per_step=rows_per_step, adapter=f"{job.output}/adapter", notes=notes, versions=versions).write()
