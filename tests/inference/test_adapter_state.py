import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_model import write_tiny_model
from tiny_training import encoder_of, load_tiny

from lorasdk.basemodel.quiet import quiet
from lorasdk.contracts import Message
from lorasdk.inference.adapter_state import FEW_TOKENS, state_of
from lorasdk.inference.predictor import Predictor
from lorasdk.recipe.schema import GenerationSection

IDS = torch.arange(3, 3 + 2 * FEW_TOKENS).view(2, -1)


@pytest.fixture
def build(tiny_model_dir: Path):
    def build(dtype: str = "float32", **settings):
        base = load_tiny(tiny_model_dir, dtype=dtype).model
        with torch.random.fork_rng(), quiet():
            torch.manual_seed(0)
            chosen = {"target_modules": "all-linear", **settings}
            config = LoraConfig(r=4, lora_alpha=12, init_lora_weights=False, **chosen)
            return get_peft_model(base, config).eval()

    return build


@torch.inference_mode()
def logits(model, ids=IDS) -> torch.Tensor:
    return model.get_base_model()(input_ids=ids).logits.float()


def interrupted(_x: torch.Tensor) -> None:
    raise KeyboardInterrupt


def forwards_on_instances(model) -> list[str]:
    return [name for name, module in model.named_modules() if "forward" in vars(module)]


def test_with_the_adapter_it_answers_as_peft_does(build):
    model = build()
    expected = logits(model)
    with state_of(model, adapter=True)():
        torch.testing.assert_close(logits(model), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tokens", [FEW_TOKENS // 2, FEW_TOKENS])
def test_in_bfloat16_it_is_as_near_to_float32_as_peft_is(build, tokens: int):
    ids, exact, model = IDS[:, :tokens], logits(build(), IDS[:, :tokens]), build("bfloat16")
    by_peft = (logits(model, ids) - exact).abs().mean()
    with state_of(model, adapter=True)():
        assert (logits(model, ids) - exact).abs().mean() < 1.5 * by_peft


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
@pytest.mark.parametrize("tokens", [FEW_TOKENS // 2, FEW_TOKENS])
def test_on_quantised_weights_it_answers_as_peft_does(tmp_path: Path, quantization: str, tokens: int):
    base = load_tiny(write_tiny_model(tmp_path, hidden=64), quantization=quantization, dtype="bfloat16").model
    ids = IDS[:, :tokens]
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(0)
        model = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)).eval()
    expected = logits(model, ids)
    with state_of(model, adapter=True)():
        assert forwards_on_instances(model)
        assert (logits(model, ids) - expected).abs().mean() < 0.05 * expected.abs().mean()


def test_without_the_adapter_it_is_the_base_to_the_bit(build, tiny_model_dir: Path):
    model, base = build(), load_tiny(tiny_model_dir).model
    with torch.inference_mode(), state_of(model, adapter=False)():
        assert torch.equal(logits(model), base(input_ids=IDS).logits)


@pytest.mark.parametrize(
    "settings",
    [{"use_dora": True}, {"modules_to_save": ["lm_head"]}, {"lora_bias": True, "target_modules": ["q_proj"]}],
)
def test_what_is_no_plain_sum_is_left_to_peft(build, tiny_model_dir: Path, settings):
    model, base = build(**settings), load_tiny(tiny_model_dir).model
    expected = logits(model)
    with state_of(model, adapter=True)():
        torch.testing.assert_close(logits(model), expected, rtol=1e-4, atol=1e-4)
    with torch.inference_mode(), state_of(model, adapter=False)():
        assert torch.equal(logits(model), base(input_ids=IDS).logits)


def test_the_weights_are_never_touched(build):
    model = build()
    before = {name: (value.data_ptr(), value._version) for name, value in model.named_parameters()}
    with state_of(model, adapter=True)():
        logits(model)
        assert {name: (value.data_ptr(), value._version) for name, value in model.named_parameters()} == before


@pytest.mark.parametrize("adapter", [True, False])
def test_the_model_is_as_it_was_after_an_exception(build, adapter: bool, monkeypatch):
    model = build()
    expected = logits(model)
    monkeypatch.setattr(model.get_base_model().model.norm, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt), state_of(model, adapter=adapter)():
        logits(model)
    monkeypatch.undo()
    assert forwards_on_instances(model) == []
    assert torch.equal(logits(model), expected)


@pytest.mark.parametrize("adapter", [True, False])
def test_the_model_is_as_it_was_between_the_pieces_of_a_stream(build, tiny_model_dir: Path, adapter: bool):
    model, settings = build(), GenerationSection(max_new_tokens=50)
    lock = threading.Lock()
    predictor = Predictor(model, encoder_of(tiny_model_dir), settings, lock, adapter=adapter)
    stream = predictor.stream((Message("user", "hi"),))
    next(stream)
    assert forwards_on_instances(model) == []
    assert not lock.locked()
    stream.close()
    assert forwards_on_instances(model) == []


def test_threads_that_ask_base_and_adapter_get_the_answers_of_one_thread(build, tiny_model_dir: Path):
    model, lock, encoder = build("bfloat16"), threading.Lock(), encoder_of(tiny_model_dir)
    settings = GenerationSection(max_new_tokens=12)
    predictors = [Predictor(model, encoder, settings, lock, adapter=adapter) for adapter in (True, False)] * 8
    serial = [predictor.complete([(Message("user", "hi"),)]) for predictor in predictors]
    with ThreadPoolExecutor(8) as pool:
        parallel = list(pool.map(lambda predictor: predictor.complete([(Message("user", "hi"),)]), predictors))
    assert parallel == serial
    assert serial[0] != serial[1]


def test_the_state_is_read_while_nobody_elses_is_on(build, tiny_model_dir: Path, monkeypatch):
    predictor = Predictor(build(), encoder_of(tiny_model_dir), GenerationSection(max_new_tokens=2), threading.Lock())
    alone = []

    def watched(model, *, adapter: bool):
        alone.append(predictor.lock.locked() and not forwards_on_instances(model))
        return state_of(model, adapter=adapter)

    monkeypatch.setattr("lorasdk.inference.voices.state_of", watched)
    predictor.complete([(Message("user", "hi"),)])
    list(predictor.stream((Message("user", "hi"),)))
    assert alone == [True, True]
