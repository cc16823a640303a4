"""The common scorer: plain transformers and PEFT in float32, one row at a time; no code of a contestant.

argv: base model, adapter (or ``-`` for none), rows. Prints the mean loss per answer token.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base, adapter, rows = sys.argv[1:4]
tokenizer = AutoTokenizer.from_pretrained(base)
model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
if adapter != "-":
    model = PeftModel.from_pretrained(model, adapter)
model.eval()
nats = tokens = 0
for row in map(json.loads, Path(rows).read_text("utf-8").splitlines()):
    turns = [{"role": "user", "content": row["prompt"]}]
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    given = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answer = tokenizer(row["answer"] + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([given + answer])).logits[0, len(given) - 1 : -1]
    nats += torch.nn.functional.cross_entropy(logits, torch.tensor(answer), reduction="sum").item()
    tokens += len(answer)
sys.stdout.write(json.dumps({"loss": nats / tokens, "tokens": tokens}))
