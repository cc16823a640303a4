"""Base against tuned as a script would do it: plain transformers and PEFT, a row at a time, nothing of lorasdk.

``python plain_scores.py MODEL ADAPTER ROWS.json TOKENS`` prints, for base and tuned, each row's answer, and whether
it equals the reference, contains it, and how many words they share (F1).
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


def folded(text: str) -> str:
    return " ".join(text.split()).casefold().removesuffix(".")


def f1(answer: str, reference: str) -> float:
    given, wanted = folded(answer).split(), folded(reference).split()
    shared = sum((Counter(given) & Counter(wanted)).values())
    return 0.0 if not shared else 2 * shared / (len(given) + len(wanted))


@torch.no_grad()
def answers(model: Any, tokenizer: Any, prompts: list[str], tokens: int) -> list[str]:
    found = []
    for prompt in prompts:
        chat = [{"role": "user", "content": prompt}]
        given = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        whole = model.generate(**given, max_new_tokens=tokens, do_sample=False, pad_token_id=tokenizer.eos_token_id)
        found.append(tokenizer.decode(whole[0, given["input_ids"].shape[1] :], skip_special_tokens=True))
    return found


def scores(model: Any, tokenizer: Any, rows: list[tuple[str, str]], tokens: int) -> dict[str, list[Any]]:
    texts = answers(model, tokenizer, [prompt for prompt, _ in rows], tokens)
    pairs = [(text, reference) for text, (_, reference) in zip(texts, rows, strict=True)]
    return {
        "answers": texts,
        "exact_match": [float(folded(text) == folded(reference)) for text, reference in pairs],
        "contains": [float(folded(reference) in folded(text)) for text, reference in pairs],
        "token_f1": [f1(text, reference) for text, reference in pairs],
    }


def main(model_dir: Path, adapter_dir: Path, rows: Path, tokens: int) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    again = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    tuned = PeftModel.from_pretrained(again, adapter_dir).eval()
    asked = json.loads(rows.read_text())
    found = {name: scores(model, tokenizer, asked, tokens) for name, model in (("base", base), ("tuned", tuned))}
    print(json.dumps(found))  # noqa: T201 - what it is for


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
