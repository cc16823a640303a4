"""lorasdk through its public face, as a program of its own runs it.

`padded` in argv[2]: the same training on padded rows through the model's own forward, as for models that cannot be
packed: what the packs and the fast forwards are proved against.
"""

from __future__ import annotations

import sys

from benchmarks.job import Job, StepClock, installed
from lorasdk import FineTuner
from lorasdk.background.own_process import keep_freed_memory
from lorasdk.engine import pass_choice
from lorasdk.forward.choosing import Choice
from lorasdk.forward.padded import PaddedPasses

job = Job.read()
keep_freed_memory()
if sys.argv[2:] == ["padded"]:
    pass_choice.choose_passes = lambda model, **_limits: Choice(PaddedPasses(model, 4096), "asked for")
clock = StepClock.of_optimizers()
recipe = {
    "name": "benchmark",
    "output_dir": job.output,
    "base_model": {"source": job.model, "dtype": job.dtype, "device": job.device},
    "data": {"train": "rows.jsonl", "max_tokens": job.max_tokens},
    "lora": {"rank": job.rank, "alpha": job.alpha, "targets": list(job.targets)},
    "training": {
        "max_steps": job.steps,
        "batch_size": job.batch_size,
        "learning_rate": job.learning_rate,
        "schedule": "constant",
        "warmup": 0,
        "max_grad_norm": None,
    },
}
rows = [{"instruction": row["prompt"], "output": row["answer"]} for row in job.examples()]
with FineTuner.from_recipe(recipe, data={"train": rows}) as tuner:
    result = tuner.train()
versions = installed("lorasdk", "torch", "transformers", "peft")
clock.report(rows_per_step=job.batch_size, adapter=str(result.adapter_dir), versions=versions).write()
