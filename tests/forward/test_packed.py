"""Packs are proved against plain padded rows through each model's own forward: loss and every LoRA gradient."""

from __future__ import annotations

import pytest
import torch
from tiny_shapes import SHAPES, WORDS, build, some_rows

from lorasdk.basemodel.quiet import quiet
from lorasdk.data.encoding import TokenRow
from lorasdk.forward.choosing import choose_passes
from lorasdk.forward.packed import PackedPasses
from lorasdk.forward.padded import PaddedPasses


def loss_and_gradients(model, passes, rows):
    total = torch.zeros(())
    for part in passes.split(rows):
        with passes.ready():
            nats = passes.loss(part)
            nats.backward()
        total += nats.detach()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return total.item(), found


def assert_same(ours, reference):
    (loss, gradients), (true_loss, true_gradients) = ours, reference
    assert loss == pytest.approx(true_loss, rel=1e-5)
    assert gradients.keys() == true_gradients.keys()
    for name, gradient in true_gradients.items():
        assert (gradients[name] - gradient).norm() <= 1e-5 * gradient.norm(), name


def packed(model, *, max_tokens: int = 10_000, **changes):
    choice = choose_passes(model, max_tokens=max_tokens, max_rows=None)
    assert isinstance(choice.passes, PackedPasses), choice.why_padded
    return choice.passes


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("count", "shared", "nested"), [(1, 0, 0), (2, 40, 0), (5, 0, 0), (16, 40, 40), (64, 40, 33)])
def test_loss_and_gradients_are_those_of_padded_rows(shape: str, count: int, shared: int, nested: int):
    model = build(shape)
    rows = some_rows(count, shared=shared, nested=nested)
    reference = loss_and_gradients(model, PaddedPasses(model, 10**6), rows)
    passes = packed(model)
    assert len(passes.fused) == 4 * len(model.get_base_model().get_decoder().layers) + 1 or shape == "gemma3"
    assert_same(loss_and_gradients(model, passes, rows), reference)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_models_own_modules_give_the_same_with_our_attention_alone(shape: str):
    model = build(shape)
    rows = some_rows(16, shared=40, nested=40)
    reference = loss_and_gradients(model, PaddedPasses(model, 10**6), rows)
    assert_same(loss_and_gradients(model, PackedPasses(model, 10**6), rows), reference)


@pytest.mark.parametrize("max_tokens", [1, 60, 100, 200])
def test_a_token_budget_changes_how_rows_are_computed_but_not_what(max_tokens: int):
    model = build("llama")
    rows = some_rows(24, shared=40, nested=40)
    passes = packed(model, max_tokens=max_tokens)
    assert len(passes.split(rows)) > 1
    assert_same(loss_and_gradients(model, passes, rows), loss_and_gradients(model, PaddedPasses(model, 10**6), rows))


@pytest.mark.parametrize("shape", ["llama", "gemma3"])
def test_long_rows_are_cut_into_pieces_and_probabilities_are_recomputed(shape: str, monkeypatch):
    monkeypatch.setattr("lorasdk.forward.attention_plan.PIECE", 7)
    monkeypatch.setattr("lorasdk.forward.tree_attention.KEPT_KEYS", 32)
    model = build(shape)
    rows = some_rows(12, shared=40, nested=40)
    reference = loss_and_gradients(model, PaddedPasses(model, 10**6), rows)
    assert_same(loss_and_gradients(model, packed(model), rows), reference)


def test_gradient_checkpointing_gives_the_same():
    model = build("llama")
    rows = some_rows(8, shared=40, nested=0)
    passes = packed(model)
    reference = loss_and_gradients(model, passes, rows)
    model.train()
    with quiet():
        model.gradient_checkpointing_enable({"use_reentrant": False})
    assert_same(loss_and_gradients(model, passes, rows), reference)


@pytest.mark.parametrize("targets", [["q_proj"], ["v_proj", "down_proj"], ["up_proj"], ["o_proj"]])
def test_any_choice_of_adapted_layers(targets: list[str]):
    model = build("qwen2", targets=targets)
    rows = some_rows(8, shared=40, nested=40)
    reference = loss_and_gradients(model, PaddedPasses(model, 10**6), rows)
    assert_same(loss_and_gradients(model, packed(model), rows), reference)


@pytest.mark.parametrize("lora", [{"dora": True}, {"bias": "all"}, {"modules_to_save": ["lm_head"]}, {"rslora": True}])
def test_what_is_more_than_a_low_rank_update_is_left_to_peft(lora):
    model = build("llama", **lora)
    rows = some_rows(8, shared=40, nested=40)
    reference = loss_and_gradients(model, PaddedPasses(model, 10**6), rows)
    assert_same(loss_and_gradients(model, packed(model), rows), reference)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_row_gets_its_own_score(shape: str):
    model = build(shape).eval()
    rows = some_rows(12, shared=40, nested=40)
    passes = packed(model)
    with passes.ready():
        ours = passes.scores(rows)
    for score, row in zip(ours, rows, strict=True):
        logits = model(input_ids=torch.tensor([row.ids])).logits[0].log_softmax(-1)
        wanted = [i for start, end in row.spans for i in range(start, end)]
        assert score.nats == pytest.approx(-sum(logits[i - 1, row.ids[i]].item() for i in wanted), rel=1e-4)
        assert score.correct == sum(int(logits[i - 1].argmax()) == row.ids[i] for i in wanted)
        assert score.tokens == len(wanted)


def test_rows_that_are_the_same_count_as_often_as_they_are_there():
    model = build("llama")
    rows = some_rows(2, shared=40, nested=40) * 3
    reference = loss_and_gradients(model, PaddedPasses(model, 10**6), rows)
    assert_same(loss_and_gradients(model, packed(model), rows), reference)


def test_the_model_is_left_as_it_was():
    model = build("llama")
    passes = packed(model)
    before = model.config._attn_implementation
    with passes.ready():
        assert model.config._attn_implementation != before
        assert any("forward" in vars(module) for module in model.modules())
    with pytest.raises(IndexError), passes.ready():
        passes.loss([TokenRow(1, (WORDS + 1, 1), ((1, 2),))])
    assert model.config._attn_implementation == before
    assert not any("forward" in vars(module) for module in model.modules())
