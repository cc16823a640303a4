from pathlib import Path

import pytest
import torch
from tiny_training import chat, encoder_of, load_tiny, token_rows

from lorasdk.engine.batches import pad
from lorasdk.engine.lora import attach_lora
from lorasdk.engine.loss import supervised_loss
from lorasdk.recipe.schema import LoraSection

EXAMPLES = [chat("hi", "yo"), chat("a longer question", "no"), chat("hi", "yo", "more", "much more")]


@pytest.fixture
def model(tiny_model_dir: Path):
    adapted = attach_lora(load_tiny(tiny_model_dir).model, LoraSection(rank=4), seed=0, batches=[])
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.linspace(-0.1, 0.1, parameter.numel()).view_as(parameter))
    return adapted


def gradients(model):
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def test_the_batch_loss_and_gradients_are_those_of_transformers_row_by_row(model, tiny_model_dir: Path):
    rows = token_rows(encoder_of(tiny_model_dir), EXAMPLES)
    loss = supervised_loss(model, pad(rows, device=model.device)).nats
    loss.backward()
    ours = gradients(model)
    total = 0.0
    for row in rows:
        labels = torch.full((1, len(row.ids)), -100)
        for start, end in row.spans:
            labels[0, start:end] = torch.tensor(row.ids[start:end])
        one = model(input_ids=torch.tensor([row.ids]), labels=labels).loss * row.supervised_tokens
        one.backward()
        total += one.item()
    reference = gradients(model)
    assert loss.item() == pytest.approx(total, rel=1e-5)
    assert ours.keys() == reference.keys()
    for name, gradient in reference.items():
        assert (ours[name] - gradient).norm() <= 1e-5 * gradient.norm(), name


def test_correct_tokens_are_counted_on_supervised_positions_only(model, tiny_model_dir: Path):
    rows = token_rows(encoder_of(tiny_model_dir), EXAMPLES)
    correct = 0
    for row in rows:
        guesses = model(input_ids=torch.tensor([row.ids])).logits.argmax(-1)[0]
        correct += sum(int(guesses[i - 1]) == row.ids[i] for start, end in row.spans for i in range(start, end))
    assert int(supervised_loss(model, pad(rows, device=model.device)).correct) == correct
