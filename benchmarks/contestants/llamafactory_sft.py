"""LLaMA-Factory, packed without attention across rows (`neat_packing`), loss on the answer alone as it always is."""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from benchmarks.job import Job, StepClock, installed

try:
    import torchaudio  # noqa: F401 - imported by LLaMA-Factory for sound, which no row has
except (ImportError, OSError):
    # Its binary fits one torch release only; an empty module is as good for text.
    silent = ModuleType("torchaudio")
    silent.__spec__ = ModuleSpec("torchaudio", None)
    sys.modules["torchaudio"] = silent
from llamafactory.train.tuner import run_exp
from transformers import AutoTokenizer

job = Job.read()
PACK = max(1024, job.max_tokens)
data = Path(job.output) / "data"
data.mkdir(parents=True, exist_ok=True)
rows = [{"instruction": row["prompt"], "input": "", "output": row["answer"]} for row in job.examples()]
(data / "rows.json").write_text(json.dumps(rows), "utf-8")
(data / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}), "utf-8")
tokenizer = AutoTokenizer.from_pretrained(job.model)
turns = [[{"role": "user", "content": r["instruction"]}, {"role": "assistant", "content": r["output"]}] for r in rows]
tokens = sum(len(tokenizer(tokenizer.apply_chat_template(both, tokenize=False))["input_ids"]) for both in turns)
accumulate = max(1, round(tokens / PACK / job.steps))
clock = StepClock.of_optimizers()
run_exp(
    {
        "model_name_or_path": job.model,
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": job.rank,
        "lora_alpha": job.alpha,
        "lora_dropout": 0.0,
        "lora_target": ",".join(job.targets),
        "dataset": "rows",
        "dataset_dir": str(data),
        "template": "smollm2",
        "cutoff_len": PACK,
        "packing": True,
        "neat_packing": True,
        "preprocessing_num_workers": 1,
        "dataloader_num_workers": 0,
        "output_dir": f"{job.output}/adapter",
        "overwrite_output_dir": True,
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": accumulate,
        "learning_rate": job.learning_rate,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "num_train_epochs": 1.0,
        "bf16": job.dtype == "bfloat16",
        "disable_gradient_checkpointing": True,
        "logging_steps": 1000,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": job.device == "cpu",
    }
)
steps = len(clock.ends)
notes = [f"packs of up to {PACK} tokens, {accumulate} a step, {len(rows) / steps:.1f} rows a step on average"]
versions = installed("llamafactory", "torch", "transformers", "peft")
clock.report(rows_per_step=len(rows) / steps, adapter=f"{job.output}/adapter", notes=notes, versions=versions).write()
