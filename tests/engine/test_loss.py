from pathlib import Path

import pytest
import torch
from tiny_training import chat, encoder_of, load_tiny, token_rows

from lorasdk.engine.batches import pad
from lorasdk.engine.lora import attach_lora, linear_layers
from lorasdk.engine.loss import can_share_prefix, supervised_loss
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


ALIKE = [chat("the same long beginning, then " + end, "yo " * n) for n, end in enumerate(("a", "bb", "", "c c"), 1)]


@pytest.mark.parametrize(("examples", "shared"), [(EXAMPLES, False), (ALIKE, True), (ALIKE[:2], True), (ALIKE, False)])
def test_loss_and_gradients_are_those_of_transformers_row_by_row(model, tiny_model_dir: Path, examples, shared):
    rows = token_rows(encoder_of(tiny_model_dir), examples)
    batch = pad(rows, device=model.device, share_prefix=shared)
    assert (len(batch.prefix_ids) > 0) == shared
    loss = supervised_loss(model, batch).nats
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


def test_prefixes_are_shared_only_where_the_cache_keeps_all_of_them(model, tiny_model_dir: Path):
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig, MambaConfig, MambaForCausalLM

    assert can_share_prefix(model)
    sizes = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 2}
    sliding = Gemma3TextConfig(
        **sizes, intermediate_size=16, num_attention_heads=2, num_key_value_heads=1, head_dim=8, sliding_window=4
    )
    for base in (Gemma3ForCausalLM(sliding), MambaForCausalLM(MambaConfig(**sizes))):
        section = LoraSection(targets=[next(iter(linear_layers(base)))])
        assert not can_share_prefix(attach_lora(base, section, seed=0, batches=[]))
