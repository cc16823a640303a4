from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_model import LAYERS
from tiny_training import load_tiny

from lorasdk.basemodel.low_rank import LowRank
from lorasdk.basemodel.quiet import quiet
from lorasdk.errors import InferenceError
from lorasdk.inference import voices as voices_module
from lorasdk.inference.resident_adapter import ResidentAdapter, adapter_on
from lorasdk.inference.voices import Voices

IDS = torch.arange(3, 3 + 5 * 7).view(5, 7)
TARGETS = {4: ["q_proj", "v_proj"], 8: "all-linear", 2: ["o_proj", "down_proj"]}


def tuned(folder: Path, rank: int, **settings):
    base = load_tiny(folder, **({"dtype": settings.pop("dtype")} if "dtype" in settings else {})).model
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(rank)
        chosen = {"target_modules": TARGETS[rank], "lora_alpha": 3 * rank, **settings}
        return get_peft_model(base, LoraConfig(r=rank, init_lora_weights=False, **chosen)).eval()


@torch.inference_mode()
def logits(model, ids: torch.Tensor) -> torch.Tensor:
    return model(input_ids=ids).logits


@pytest.fixture(scope="module")
def models(tiny_model_dir: Path):
    return [tuned(tiny_model_dir, rank) for rank in TARGETS]


@pytest.fixture(params=[10_000, 0], ids=["one product", "by runs"])
def few(request, monkeypatch):
    monkeypatch.setattr(voices_module, "FEW_TOKENS", request.param)


@pytest.mark.usefixtures("few")
def test_each_row_of_a_mixed_pass_is_what_peft_gives_for_its_adapter(models, tiny_model_dir: Path):
    base, (first, second, third) = load_tiny(tiny_model_dir).model, models
    voices = Voices(base)
    asked = [adapter_on(second), adapter_on(first), False, adapter_on(third), adapter_on(second)]
    expected = [logits(m, IDS[row : row + 1]) for row, m in enumerate([second, first, base, third, second])]
    with voices.speaking(asked):
        found = logits(base, IDS)
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-4, atol=1e-4)
    assert not any("forward" in vars(module) for module in base.modules())


@pytest.mark.usefixtures("few")
def test_the_adapter_on_the_model_answers_beside_others(models, tiny_model_dir: Path):
    own, other = models[1], models[0]
    base = load_tiny(tiny_model_dir).model
    with Voices(own).speaking([True, adapter_on(other), False, True, False]):
        found = logits(own.get_base_model(), IDS)
    expected = [logits(m, IDS[row : row + 1]) for row, m in enumerate([own, other, base, own, base])]
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-4, atol=1e-4)


def test_rows_that_come_and_go_take_the_places_of_others(models, tiny_model_dir: Path):
    base = load_tiny(tiny_model_dir).model
    first, second, third = (adapter_on(model) for model in models)
    voices = Voices(base)
    by_voice = {first: models[0], second: models[1], third: models[2], False: base}
    for asked in (
        [first, second],
        [second, third],
        [False, third],
        [first, second, third, False, first],
        [third, first],
    ):
        with voices.speaking(asked):
            found = logits(base, IDS[: len(asked)])
        expected = [logits(by_voice[voice], IDS[row : row + 1]) for row, voice in enumerate(asked)]
        torch.testing.assert_close(found, torch.cat(expected), rtol=1e-4, atol=1e-4)


def test_a_neighbour_does_not_change_who_is_alone_in_its_product(models, tiny_model_dir: Path):
    """Layers of one input share a product; an input of their own must not be taken for it."""
    base = load_tiny(tiny_model_dir).model
    adapter, attention = adapter_on(models[1]), base.model.layers[0].self_attn
    one, other = torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(0)), torch.ones(2, 3, 32)
    with torch.inference_mode(), Voices(base).speaking([adapter, False]):
        attention.q_proj(one)
        found = attention.k_proj(other)[0]
    expected = models[1].get_base_model().model.layers[0].self_attn.k_proj(other)[0]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_one_voice_for_all_is_computed_as_if_it_were_on_the_model(models, tiny_model_dir: Path):
    base = load_tiny(tiny_model_dir).model
    with Voices(base).speaking([adapter_on(models[1])] * 5):
        torch.testing.assert_close(logits(base, IDS), logits(models[1], IDS), rtol=1e-4, atol=1e-4)


def test_in_half_precision_rows_differ_from_peft_by_rounding(tiny_model_dir: Path):
    models = [tuned(tiny_model_dir, rank, dtype="bfloat16") for rank in (4, 8)]
    base = load_tiny(tiny_model_dir, dtype="bfloat16").model
    with Voices(base).speaking([adapter_on(models[0]), adapter_on(models[1])]):
        found = logits(base, IDS[:2]).float()
    expected = torch.cat([logits(model, IDS[row : row + 1]) for row, model in enumerate(models)]).float()
    assert (found - expected).abs().max() < 0.05 * expected.abs().max()


def test_adapters_that_were_used_are_not_kept_when_nobody_asks(models, tiny_model_dir: Path):
    voices, adapter = Voices(load_tiny(tiny_model_dir).model), adapter_on(models[0])
    for asked in ([adapter, False], [adapter]):
        with voices.speaking(asked):
            pass
    voices.forget()
    assert adapter not in voices._states
    assert voices._bank.places == []


def test_an_adapter_that_does_more_cannot_answer_beside_others(tiny_model_dir: Path, models):
    own = tuned(tiny_model_dir, 4, use_dora=True)
    with pytest.raises(InferenceError) as caught, Voices(own).speaking([True, adapter_on(models[0])]):
        pass
    assert caught.value.code == "adapter.not-mixable"
    assert "layers.0.self_attn.q_proj" in str(caught.value)


def test_a_layer_that_does_not_see_its_rows_one_by_one_says_so(models, tiny_model_dir: Path):
    base, adapter = load_tiny(tiny_model_dir).model, adapter_on(models[0])
    with pytest.raises(InferenceError) as caught, torch.inference_mode(), Voices(base).speaking([adapter, False]):
        base.model.layers[0].self_attn.q_proj(torch.zeros(6, 32))
    assert caught.value.code == "inference.not-mixable"


def test_memory_and_rank_are_those_of_the_matrices():
    adapter = ResidentAdapter(
        {"a": LowRank(torch.zeros(4, 10), torch.zeros(6, 4)), "b": LowRank(*2 * [torch.zeros(1, 1)])}
    )
    assert (adapter.rank, adapter.bytes) == (4, 4 * (40 + 24 + 2))


def test_all_layers_of_a_model_are_found(models):
    assert len(adapter_on(models[1]).layers) == 7 * LAYERS
