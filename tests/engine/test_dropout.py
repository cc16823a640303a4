"""What dropout leaves out depends on seed, step and micro-batch alone, however a model drops."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tiny_shapes import build, some_rows
from transformers import GPT2Config, GPT2LMHeadModel, OPTConfig, OPTForCausalLM

from lorasdk.data.encoding import TokenRow
from lorasdk.engine.loop import run_training
from lorasdk.engine.lora import attach_lora
from lorasdk.engine.task import TrainingTask
from lorasdk.events import StepFinished
from lorasdk.recipe.schema import LoraSection, TrainingSection
from lorasdk.stopping import StopToken

ROWS = some_rows(6, shared=8, nested=3)


def small(kind: str):
    """A model that drops by itself: GPT-2 through layers, OPT through a function."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 61, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
    if kind == "gpt2":
        model = GPT2LMHeadModel(GPT2Config(**sizes, n_embd=16, n_layer=2, n_head=2, n_positions=64, attn_pdrop=0.0))
    else:
        shape = {"hidden_size": 16, "word_embed_proj_dim": 16, "ffn_dim": 32, "num_hidden_layers": 2}
        model = OPTForCausalLM(OPTConfig(**sizes, **shape, num_attention_heads=2, max_position_embeddings=64))
    lora = LoraSection(rank=2, dropout=0.25)
    return attach_lora(model.requires_grad_(requires_grad=False), lora, seed=0, batches=[])


MODELS = {
    "fused": lambda: build("llama", dropout=0.25),
    "dora": lambda: build("llama", dropout=0.25, dora=True),
    "own layers": lambda: small("gpt2"),
    "own function": lambda: small("opt"),
}


def losses(model, *, emit=lambda _event: None, rows: list[TokenRow] = ROWS, **section) -> list[float]:
    settings = {"max_steps": 3, "batch_size": 4, "learning_rate": 1e-2, **section}
    task = TrainingTask(
        model=model,
        section=TrainingSection.model_validate(settings),
        train=rows,
        validation=(),
        score=dict,
        higher_is_better=False,
        emit=emit,
        stop=StopToken(),
    )
    return [point.loss for point in run_training(task).history]


@pytest.mark.parametrize("kind", MODELS)
def test_another_seed_drops_other_places(kind: str):
    one = [TokenRow(1, (1, 2, 3, 4), ((1, 4),))]
    first, again, other = (losses(MODELS[kind](), rows=one, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first[0] != other[0]


@pytest.mark.parametrize("kind", MODELS)
def test_the_host_draws_what_it_would_have_drawn(kind: str):
    torch.manual_seed(5)
    alone = [torch.rand(1).item() for _ in range(3)]
    model, drawn = MODELS[kind](), []
    torch.manual_seed(5)
    losses(model, emit=lambda event: drawn.append(torch.rand(1).item()) if isinstance(event, StepFinished) else None)
    assert drawn == alone


@pytest.mark.parametrize("kind", MODELS)
def test_X79_two_trainings_at_once_give_the_numbers_of_each_alone(kind: str):
    alone = [losses(MODELS[kind](), seed=seed) for seed in (1, 2)]
    models = [MODELS[kind](), MODELS[kind]()]
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda model, seed: losses(model, seed=seed), models, (1, 2))) == alone


@pytest.mark.parametrize("kind", MODELS)
def test_layers_computed_again_drop_the_same_places(kind: str):
    kept, again = losses(MODELS[kind]()), losses(MODELS[kind](), gradient_checkpointing=True)
    assert kept == again
