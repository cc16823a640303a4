"""What is written as GGUF answers in a real llama.cpp as it does here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from real_llama_cpp import Answers, LlamaCpp, NoLlamaCppError, find_llama_cpp
from tiny_gguf import write_tiny_gguf
from tiny_model import write_tiny_model
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from lorasdk import FineTuner
from lorasdk.artifacts.gguf_adapter import load_gguf_adapter, write_gguf_adapter
from lorasdk.artifacts.gguf_model import load_gguf, write_gguf
from lorasdk.artifacts.gguf_pre_tokenizers import FAMILIES
from lorasdk.basemodel.quiet import quiet
from lorasdk.builtin.package_source import PackageSource
from lorasdk.contracts import SourceRequest
from lorasdk.recipe.schema import GenerationSection

GOLDEN = "The quick brown fox jumps over the lazy dog. What is the capital of France? The capital"
STEPS = 6
TOLERANCE = 0.01
"""Nats; llama.cpp keeps the keys and values of attention in float16."""
ODD, EVEN = "It is odd, so no; I am sure of it.", "It is even, so yes; I am sure of it."
TEXTS = [
    "The quick  brown fox's   jumps,\n\n  over 12345 dogs!  ",
    "I'LL say: don't; we've 3.14 (x==y) … naïve façade ÀÉ",
    "数据 模型 训练<|im_end|>\r\n\tdef f(a_b): return a//2  # ok",
    " leading, HTTPServer2go and CamelCase ０１２ ²³ ½",
]


@pytest.fixture(scope="session")
def llama_cpp() -> LlamaCpp:
    try:
        return find_llama_cpp()
    except NoLlamaCppError as why:
        pytest.skip(f"no llama.cpp: {why}")


def export(model, tokenizer, folder: Path, *, source: Path | None = None, dtype: str = "f32") -> Path:
    return write_gguf(
        model,
        tokenizer,
        folder,
        source=source,
        dtype=dtype,
        name="tiny",
        chat_template=None,
        generation=GenerationSection(),
    )


@torch.inference_mode()
def own_steps(model, prompt: list[int], count: int = STEPS) -> list[tuple[int, float]]:
    ids, found = list(prompt), []
    for _ in range(count):
        values = model(torch.tensor([ids])).logits[0, -1].float().log_softmax(-1)
        token = int(values.argmax())
        found.append((token, float(values[token])))
        ids.append(token)
    return found


def assert_alike(answers: Answers, expected: list[tuple[int, float]], *, tolerance: float = TOLERANCE) -> None:
    (found,) = answers.steps
    assert [token for token, _ in found] == [token for token, _ in expected]
    assert [value for _, value in found] == pytest.approx([value for _, value in expected], abs=tolerance)


def made(config_name: str, **settings):
    """A tiny model of an architecture, its norms and biases not what they begin as."""
    import transformers

    sizes = {
        "vocab_size": 320,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "initializer_range": 0.2,
    }
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        config = getattr(transformers, config_name)(**sizes, **settings)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model


LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
SHAPES = {
    "llama": ("LlamaConfig", {"tie_word_embeddings": False}),
    "llama-3.1": ("LlamaConfig", {"tie_word_embeddings": True, "rope_parameters": LLAMA3}),
    "llama-wide-heads": ("LlamaConfig", {"tie_word_embeddings": True, "head_dim": 32}),
    "mistral": ("MistralConfig", {"sliding_window": 256}),
    "qwen2": ("Qwen2Config", {"tie_word_embeddings": True, "rope_parameters": {"rope_theta": 1e6}}),
    "qwen3": ("Qwen3Config", {"tie_word_embeddings": False, "head_dim": 32}),
}


def adapted(model, folder: Path, **settings):
    """The model with an adapter on every linear layer, which is saved into `folder`."""
    config = LoraConfig(
        task_type="CAUSAL_LM",
        **{"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "down_proj"]} | settings,
    )
    with quiet(), torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        attached = get_peft_model(model, config).eval()
        for name, parameter in attached.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    attached.save_pretrained(folder, save_embedding_layers=False)
    return attached


@pytest.mark.parametrize("shape", SHAPES)
def test_a_converted_model_and_its_adapter_answer_as_here(
    shape: str, llama_cpp: LlamaCpp, tiny_model_dir: Path, tmp_path: Path
):
    name, settings = SHAPES[shape]
    model, tokenizer = made(name, **settings), AutoTokenizer.from_pretrained(tiny_model_dir)
    prompt = tokenizer(GOLDEN)["input_ids"]
    path = export(model, tokenizer, tmp_path)
    ids = torch.tensor([prompt])
    with torch.inference_mode():
        assert torch.allclose(load_gguf(path)(ids).logits, model(ids).logits, atol=1e-4)
    asked = llama_cpp.ask(path, prompts=[prompt], texts=TEXTS, steps=STEPS)
    assert_alike(asked, own_steps(model, prompt))
    assert asked.tokens == tokenizer(TEXTS)["input_ids"]
    tuned = adapted(
        model, tmp_path / "adapter", use_rslora=True, rank_pattern={"k_proj": 3}, alpha_pattern={"layers.1.*o_proj": 5}
    )
    adapter = write_gguf_adapter(tmp_path / "adapter", model, tmp_path, dtype="f32", name="tuned")
    expected = own_steps(tuned, prompt)
    assert_alike(llama_cpp.ask(path, prompts=[prompt], steps=STEPS, adapter=adapter), expected)
    again = load_gguf_adapter(adapter, load_gguf(path))
    assert_alike(Answers([], [own_steps(again, prompt)]), expected, tolerance=1e-4)


@pytest.fixture(scope="module")
def wide_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, wider: llama.cpp's AMX kernels compute nonsense with matrices of 32 columns in q8_0."""
    return write_tiny_model(tmp_path_factory.mktemp("wide-model"), hidden=64)


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", "q8_0"])
def test_a_model_whose_base_came_as_gguf_answers_as_here(
    dtype: str, llama_cpp: LlamaCpp, wide_model_dir: Path, tmp_path: Path
):
    source = write_tiny_gguf(wide_model_dir, tmp_path / "base.gguf", matrices="F32")
    model, tokenizer = load_gguf(source), AutoTokenizer.from_pretrained(wide_model_dir)
    tuned = adapted(model, tmp_path / "adapter").merge_and_unload()
    with torch.no_grad():
        tuned.model.norm.weight.mul_(2)  # likeliest tokens that stand out, as trained models have them
    prompt = tokenizer(GOLDEN)["input_ids"]
    path = export(tuned, tokenizer, tmp_path, source=source, dtype=dtype)
    asked = llama_cpp.ask(path, prompts=[prompt], texts=TEXTS, steps=STEPS)
    assert_alike(asked, own_steps(load_gguf(path), prompt), tolerance=0.2 if dtype in {"bf16", "q8_0"} else TOLERANCE)
    assert asked.tokens == tokenizer(TEXTS)["input_ids"]


@pytest.mark.parametrize("dtype", ["f16", "bf16", "q8_0"])
def test_an_adapter_in_fewer_bits_answers_as_here(
    dtype: str, llama_cpp: LlamaCpp, wide_model_dir: Path, tmp_path: Path
):
    base = write_tiny_gguf(wide_model_dir, tmp_path / "base.gguf", matrices="F32")
    prompt = AutoTokenizer.from_pretrained(wide_model_dir)(GOLDEN)["input_ids"]
    adapted(load_gguf(base), tmp_path / "adapter")
    adapter = write_gguf_adapter(tmp_path / "adapter", load_gguf(base), tmp_path, dtype=dtype, name="tuned")
    read = load_gguf_adapter(adapter, load_gguf(base))
    answers = llama_cpp.ask(base, prompts=[prompt], steps=STEPS, adapter=adapter)
    assert_alike(answers, own_steps(read, prompt), tolerance=0.05)


@pytest.mark.real
def test_exports_of_the_embedded_model_answer_as_the_predictor_does(
    llama_cpp: LlamaCpp, embedded_model_source: str, tmp_path: Path
):
    rows = [{"prompt": f"Is {n} even?", "completion": EVEN if n % 2 == 0 else ODD} for n in range(12)]
    recipe = {
        "name": "even",
        "output_dir": str(tmp_path / "runs"),
        "base_model": {"source": embedded_model_source},
        "training": {"max_steps": 16, "batch_size": 4, "learning_rate": 1e-3},
        "generation": {"max_new_tokens": 24},
    }
    tuner = FineTuner.from_recipe(recipe, data={"train": rows})
    tuner.train()
    base = PackageSource().locate(SourceRequest(embedded_model_source.partition(":")[2], None, tmp_path, "")).path
    tokenizer = AutoTokenizer.from_pretrained(base.parent, gguf_file=base.name)
    question = [{"role": "user", "content": "Is 5 even?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True)["input_ids"]
    merged = tuner.export(tmp_path / "merged", format="gguf", dtype="f16").folder / "even-f16.gguf"
    adapter = tuner.export(tmp_path / "alone", format="gguf-adapter", dtype="f16").folder / "even-f16.gguf"
    text = tuner.infer("Is 5 even?").text
    assert text in {ODD, EVEN}
    tokens = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
    for model, laid_over in ((merged, None), (base, adapter)):
        (steps,) = llama_cpp.ask(model, prompts=[prompt], steps=len(tokens), adapter=laid_over).steps
        assert [token for token, _ in steps] == tokens


def cutting(name: str) -> tuple[object, bool]:
    """The pre-tokenizer of a family, and whether it takes whole words."""
    family = next(family for family in FAMILIES if family.name == name)
    split = family.cuts[0].removeprefix("split ")
    steps = {
        "single digits": pre_tokenizers.Digits(individual_digits=True),
        "bytes by GPT-2's pattern": pre_tokenizers.ByteLevel(add_prefix_space=False),
        "bytes": pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        f"split {split}": pre_tokenizers.Split(Regex(split), "isolated"),
    }
    return pre_tokenizers.Sequence([steps[cut] for cut in family.cuts]), family.whole_words


def byte_level_tokenizer(name: str) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    # Trained on uncut text, so that it would merge across every cut: a wrong cut gives other tokens.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.normalizer = normalizers.NFC() if name == "qwen2" else None
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text[start:] for text in TEXTS for start in range(0, len(text), 3)], trainer)
    tokenizer.pre_tokenizer, tokenizer.model.ignore_merges = cutting(name)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>")


@pytest.mark.parametrize("family", [family.name for family in FAMILIES])
def test_text_is_cut_as_here(family: str, llama_cpp: LlamaCpp, tmp_path: Path):
    tokenizer = byte_level_tokenizer(family)
    model = made("Qwen2Config")
    model.resize_token_embeddings(len(tokenizer) + 8)
    path = export(model, tokenizer, tmp_path)
    assert llama_cpp.ask(path, texts=TEXTS).tokens == tokenizer(TEXTS)["input_ids"]
