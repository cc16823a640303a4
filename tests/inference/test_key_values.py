import functools

import pytest
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from lorasdk.inference.batching import Batching
from lorasdk.inference.decoding import Batch, Request
from lorasdk.inference.key_values import can_share
from lorasdk.inference.reading import Reader
from lorasdk.recipe.schema import GenerationSection

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
    "pad_token_id": 0,
}
FAMILIES = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES)),
    "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**SIZES, sliding_window=256)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=None)),
    "mistral, window": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=256)),
}
TASKS = [tuple((7 * i + task) % 60 + 3 for i in range(120)) for task in (0, 1)]
OWN = [(5,), (6, 7, 8), (9, 10), tuple(range(3, 20)), (11, 12, 13, 14), (5, 5)]
PROMPTS = [*(TASKS[i % 2] + own for i, own in enumerate(OWN)), (4, 9), (9,)]
GREEDY = GenerationSection(batch_size=3)
SAMPLED = GenerationSection(batch_size=3, temperature=1.5, top_p=0.9, top_k=30, repetition_penalty=1.3)


@functools.cache
def reader(family: str) -> Reader:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Reader({**FAMILIES, "mamba": mamba, "narrow": narrow}[family]().eval())


def mamba():
    return MambaForCausalLM(MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=2, state_size=4))


def narrow():
    return MistralForCausalLM(MistralConfig(**SIZES, sliding_window=40))


def requests(settings: GenerationSection = GREEDY) -> list[Request]:
    return [Request(ids, seed=i, limit=6, settings=settings) for i, ids in enumerate(PROMPTS)]


def answers(batches: list[tuple[list[int], Batch]]) -> dict[int, list[list[int]]]:
    found = {}
    for rows, batch in batches:
        steps = [batch.step() for _ in range(6)]
        found.update(zip(rows, zip(*steps, strict=True), strict=True))
    return found


def together(reader: Reader, settings: GenerationSection):
    batching = Batching(reader, requests(settings), settings.batch_size)
    return answers([(rows, batching.batch(rows)) for rows in batching.rows()])


def alone(reader: Reader, settings: GenerationSection):
    return answers([([i], Batch(reader, [r])) for i, r in enumerate(requests(settings))])


@pytest.mark.parametrize("settings", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("family", FAMILIES)
def test_answers_after_shared_beginnings_are_those_of_prompts_alone(family: str, settings: GenerationSection):
    assert can_share(reader(family), 150)
    assert together(reader(family), settings) == alone(reader(family), settings)


def test_a_shared_beginning_is_read_once(monkeypatch):
    counted = []
    read = Reader.read
    monkeypatch.setattr(
        Reader, "read", lambda self, ids, **rest: (counted.append(ids.shape), read(self, ids, **rest))[1]
    )
    batching = Batching(reader("llama"), requests(), GREEDY.batch_size)
    for rows in batching.rows():
        batching.batch(rows).step()
    assert [shape for shape in counted if shape[0] == 1] == [(1, 120), (1, 120)]
    assert max(columns for rows, columns in counted if rows > 1) == max(map(len, OWN))


@pytest.mark.parametrize("family", ["narrow", "mamba"])
def test_a_model_that_forgets_reads_each_prompt_whole(family: str):
    assert not can_share(reader(family), 150)
    assert together(reader(family), GREEDY) == alone(reader(family), GREEDY)


def test_a_sliding_window_is_shared_while_everything_fits():
    assert can_share(reader("narrow"), 40)
    assert not can_share(reader("narrow"), 41)


def test_a_state_space_model_answers_as_transformers_does():
    model, ids = reader("mamba").model, torch.tensor([PROMPTS[0]])
    batch = Batch(reader("mamba"), requests()[:1])
    expected = model.generate(ids, max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=0)[
        0, ids.shape[1] :
    ]
    assert [batch.step()[0] for _ in range(6)] == expected.tolist()
