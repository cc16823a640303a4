"""transformers.Trainer with PEFT: as tutorials publish it, made to work, or at its best on the same rows.

`tutorial` in argv[2]: float32, four rows a forward pass and gradients accumulated to the batch, loss on the whole text,
the prompt included. `bf16`: bfloat16, as many rows a pass as memory allows, loss on the answer. Both pad to the longest
row of a pass; tutorials that pad every row to a fixed length are slower still.
"""

from __future__ import annotations

import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

from benchmarks.job import Job, StepClock, installed

job, published = Job.read(), sys.argv[2] == "tutorial"
tokenizer = AutoTokenizer.from_pretrained(job.model)
dtype = torch.float32 if published else getattr(torch, job.dtype)
model = AutoModelForCausalLM.from_pretrained(job.model, dtype=dtype).to(job.device)
config = LoraConfig(r=job.rank, lora_alpha=job.alpha, target_modules=list(job.targets), task_type="CAUSAL_LM")
model = get_peft_model(model, config)


def encode(row: dict[str, str]) -> dict[str, list[int]]:
    turns = [{"role": "user", "content": row["prompt"]}]
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answer = tokenizer(row["answer"] + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
    if published:
        return {"input_ids": ids + answer, "labels": ids + answer}
    return {"input_ids": ids + answer, "labels": [-100] * len(ids) + answer}


def collate(rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    length = max(len(row["input_ids"]) for row in rows)

    def padded(name: str, value: int) -> torch.Tensor:
        return torch.tensor([row[name] + [value] * (length - len(row[name])) for row in rows])

    mask = torch.tensor([[1] * len(row["input_ids"]) + [0] * (length - len(row["input_ids"])) for row in rows])
    return {"input_ids": padded("input_ids", 0), "attention_mask": mask, "labels": padded("labels", -100)}


class InOrder(Trainer):
    """Takes rows in the order of the job, as all contestants do."""

    def _get_train_sampler(self, *_args: object, **_kwargs: object) -> torch.utils.data.Sampler:
        return torch.utils.data.SequentialSampler(self.train_dataset)


# As many rows a pass as fit into 16 GB: logits of every position are held in float32, several times.
micro = min(job.batch_size, 4 if published else max(4, 8192 // job.max_tokens))
clock = StepClock.of_optimizers()
arguments = TrainingArguments(
    output_dir=job.output,
    per_device_train_batch_size=micro,
    gradient_accumulation_steps=job.batch_size // micro,
    max_steps=job.steps,
    learning_rate=job.learning_rate,
    lr_scheduler_type="constant",
    max_grad_norm=0.0,
    report_to=[],
    save_strategy="no",
    logging_strategy="no",
    use_cpu=job.device == "cpu",
    bf16=not published and job.dtype == "bfloat16",
    remove_unused_columns=False,
)
trainer = InOrder(
    model=model,
    args=arguments,
    train_dataset=[encode(row) for row in job.examples()],
    data_collator=collate,
)
trainer.train()
model.save_pretrained(f"{job.output}/adapter")
versions = installed("torch", "transformers", "peft")
clock.report(rows_per_step=job.batch_size, adapter=f"{job.output}/adapter", versions=versions).write()
