"""`choice` and `perplexity` through the facade, against plain transformers and PEFT, row by row."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from tiny_training import tiny_recipe, tiny_tuner
from transformers import AutoModelForCausalLM, AutoTokenizer

from lorasdk import FineTuner
from lorasdk.basemodel.quiet import quiet

TRAIN = [{"instruction": f"say {i}", "output": "yes" if i % 2 else "no no"} for i in range(8)]
TEST = [{"instruction": f"say {i} again", "output": ("yes", "no no", "maybe")[i % 3]} for i in range(6)]
LABELS = ["yes", "no no", "maybe"]


@torch.no_grad()
def log_probabilities(model, tokenizer, question: str, answers: list[str]) -> list[list[float]]:
    """One list of tokens' log-probabilities for each answer, as a script would take them."""
    found = []
    for answer in answers:
        chat = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        prompt = tokenizer.apply_chat_template(chat[:1], add_generation_prompt=True, return_dict=False)
        ids = [*prompt, *tokenizer(answer, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
        chances = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        found.append([chances[i - 1, ids[i]].item() for i in range(len(prompt), len(ids))])
    return found


def by_script(model, tokenizer) -> tuple[list[float], list[float]]:
    chosen, perplexities = [], []
    for row in TEST:
        scores = log_probabilities(model, tokenizer, row["instruction"], LABELS)
        best = max(range(len(LABELS)), key=lambda i: sum(scores[i]))
        chosen.append(float(LABELS[best] == row["output"]))
        own = scores[LABELS.index(row["output"])]
        perplexities.append(math.exp(-sum(own) / len(own)))
    return chosen, perplexities


def test_scores_equal_those_of_a_script_row_by_row(tiny_model_dir: Path, tmp_path: Path):
    evaluation = {"evaluators": [{"name": "choice", "labels": LABELS}, "perplexity"]}
    training = {"max_steps": 20, "learning_rate": 0.03}
    rows = {"train": TRAIN, "test": TEST}
    with tiny_tuner(tiny_model_dir, tmp_path, rows=rows, evaluation=evaluation, training=training) as tuner:
        result = tuner.train()
        choice, perplexity = tuner.evaluate().scores
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    with quiet():
        base = AutoModelForCausalLM.from_pretrained(tiny_model_dir).eval()
        again = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
        models = {"base": base, "tuned": PeftModel.from_pretrained(again, result.adapter_dir).eval()}
    for which, model in models.items():
        chosen, perplexities = by_script(model, tokenizer)
        assert getattr(choice, f"{which}_rows") == tuple(chosen)
        assert getattr(perplexity, f"{which}_rows") == pytest.approx(perplexities, rel=1e-4)
        mean = sum(map(math.log, perplexities)) / len(perplexities)
        assert getattr(perplexity, which) == pytest.approx(math.exp(mean), rel=1e-4)
    assert perplexity.tuned < perplexity.base


def test_the_metric_perplexity_is_that_of_the_validation_though_an_evaluator_has_its_name(
    tiny_model_dir: Path, tmp_path: Path
):
    sections = {"training": {"metric": "perplexity"}, "evaluation": {"evaluators": ["perplexity"]}}
    recipe = tiny_recipe(tiny_model_dir, tmp_path, data={"validation": 3}, **sections)
    with FineTuner.from_recipe(recipe, data={"train": TRAIN}) as tuner:
        metrics = tuner.train().validations[0].metrics
    assert metrics["perplexity"] == math.exp(metrics["loss"])


def test_a_choice_may_be_the_watched_metric(tiny_model_dir: Path, tmp_path: Path):
    sections = {"training": {"metric": "choice"}, "evaluation": {"evaluators": [{"name": "choice", "labels": LABELS}]}}
    recipe = tiny_recipe(tiny_model_dir, tmp_path, data={"validation": 3}, **sections)
    with FineTuner.from_recipe(recipe, data={"train": TRAIN}) as tuner:
        assert 0 <= tuner.train().validations[0].metrics["choice"] <= 1
