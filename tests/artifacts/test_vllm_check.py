"""What vLLM demands of an adapter, looked at in advance; what it says stands in its source, which the module names."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from made_passport import made_passport
from safetensors.torch import save_file
from tiny_training import tiny_tuner
from typer import Exit

from lorasdk.artifacts.passport import TemplatePart
from lorasdk.artifacts.vllm_check import VllmCheck, check_vllm
from lorasdk.cli.vllm import show_vllm_check

SETTINGS = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "bias": "none", "target_modules": ["q_proj"]}
TOKENIZER = TemplatePart(sha256="7" * 64, origin="tokenizer")
MODULES = ("layers.0.self_attn.q_proj", "layers.1.self_attn.q_proj")


def weights(ranks: dict[str, int]) -> dict[str, torch.Tensor]:
    prefix = "base_model.model.model."
    pairs = {f"{prefix}{name}.lora_A.weight": torch.zeros(rank, 4) for name, rank in ranks.items()}
    return {**pairs, **{f"{prefix}{name}.lora_B.weight": torch.zeros(4, rank) for name, rank in ranks.items()}}


def adapter(
    folder: Path,
    *,
    ranks: dict[str, int] | None = None,
    extra: dict[str, torch.Tensor] | None = None,
    settings: dict[str, Any] | None = None,
    name: str = "tickets",
    source: str = "org/base",
    held: str = "none",
    **passport: Any,
) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({**SETTINGS, **(settings or {})}))
    save_file({**weights(ranks or dict.fromkeys(MODULES, 8)), **(extra or {})}, folder / "adapter_model.safetensors")
    made = made_passport(**{"template": TOKENIZER, **passport})
    base = made.base_model.model_copy(update={"source": source, "quantization": held})
    made = made.model_copy(update={"recipe": {**made.recipe, "name": name}, "base_model": base})
    (folder / "lorasdk.json").write_text(made.model_dump_json())
    return folder


def codes(check: VllmCheck) -> list[str]:
    return [problem.code for problem in check.problems]


def test_an_ordinary_adapter_is_served_by_the_command(tmp_path: Path):
    folder = adapter(tmp_path / "an adapter")
    check = check_vllm([folder])
    assert (check.fits, check.problems, check.notes) == (True, (), ())
    assert check.command == (
        "vllm", "serve", "org/base", "--revision", "1234abcd", "--enable-lora",
        "--lora-modules", f"tickets={folder}", "--max-lora-rank", "8", "--max-loras", "1",
    )  # fmt: skip
    assert tuple(shlex.split(check.command_line.replace("\\\n", ""))) == check.command
    assert check.command_line.splitlines()[0] == "vllm serve org/base \\"


def test_several_adapters_are_told_apart_and_the_largest_rank_rules(tmp_path: Path):
    folders = [
        adapter(tmp_path / "a"),
        adapter(tmp_path / "b", ranks=dict.fromkeys(MODULES, 17), settings={"r": 17, "lora_alpha": 34}),
        adapter(tmp_path / "c", name="orders"),
        adapter(tmp_path / "d"),
    ]
    check = check_vllm(folders)
    assert [(each.name, each.rank) for each in check.adapters] == [
        ("tickets", 8),
        ("tickets-2", 17),
        ("orders", 8),
        ("tickets-3", 8),
    ]
    assert check.command[-4:] == ("--max-lora-rank", "32", "--max-loras", "4")


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"use_dora": True}, "vllm.dora"),
        ({"bias": "lora_only"}, "vllm.bias"),
        ({"modules_to_save": ["lm_head"]}, "vllm.modules-to-save"),
        ({"target_parameters": ["experts.gate_up_proj"]}, "vllm.target-parameters"),
        ({"alpha_pattern": {"layers.1.self_attn.q_proj": 32}}, "vllm.uneven-scale"),
    ],
)
def test_what_vllm_cannot_serve_is_said_with_its_place(tmp_path: Path, settings: dict[str, Any], code: str):
    check = check_vllm([adapter(tmp_path / "a", settings=settings)])
    assert codes(check) == [code]
    assert check.problems[0].place == str(tmp_path / "a" / "adapter_config.json")
    assert check.problems[0].fix


def test_ranks_may_differ_where_alpha_differs_with_them(tmp_path: Path):
    ranks = dict(zip(MODULES, (8, 4), strict=True))
    pattern = {"rank_pattern": {"layers.1.self_attn.q_proj": 4}}
    check = check_vllm([adapter(tmp_path / "a", ranks=ranks, settings=pattern)])
    assert codes(check) == ["vllm.uneven-scale"]
    assert check.problems[0].found == "model.layers.1.self_attn.q_proj 4"
    even = {**pattern, "alpha_pattern": {r"layers\.1\..*q_proj": 8}}
    assert check_vllm([adapter(tmp_path / "b", ranks=ranks, settings=even)]).fits


def test_rank_stabilised_scales_are_served(tmp_path: Path):
    assert check_vllm([adapter(tmp_path / "a", settings={"use_rslora": True})]).fits


def test_a_rank_beyond_all_that_vllm_takes(tmp_path: Path):
    check = check_vllm([adapter(tmp_path / "a", ranks={MODULES[0]: 640}, settings={"r": 640})])
    assert [(each.code, each.found) for each in check.problems] == [("vllm.rank-too-large", "640")]


def test_weights_that_are_no_pair_of_matrices(tmp_path: Path):
    extra = {"base_model.model.model.norm.bias": torch.zeros(4)}
    check = check_vllm([adapter(tmp_path / "a", extra=extra)])
    assert [(each.code, each.found) for each in check.problems] == [
        ("vllm.unsupported-weight", "base_model.model.model.norm.bias")
    ]


def test_adapters_of_different_bases_need_a_server_each(tmp_path: Path):
    folders = [adapter(tmp_path / "a"), adapter(tmp_path / "b")]
    path = folders[1] / "lorasdk.json"
    passport = json.loads(path.read_text())
    passport["base_model"]["fingerprint"] = "e" * 64
    path.write_text(json.dumps(passport))
    check = check_vllm(folders)
    assert [(each.code, each.place) for each in check.problems] == [("vllm.other-base", str(folders[1]))]


def test_adapters_of_different_templates_need_a_server_each(tmp_path: Path):
    other = TemplatePart(sha256="8" * 64, origin="tokenizer")
    check = check_vllm([adapter(tmp_path / "a"), adapter(tmp_path / "b", template=other)])
    assert codes(check) == ["vllm.other-template"]


def test_a_base_that_came_as_gguf(tmp_path: Path):
    check = check_vllm([adapter(tmp_path / "a", identity="package:dist/Model.Q4_1.gguf", source="package:dist/x.gguf")])
    assert codes(check) == ["vllm.base-gguf"]
    assert "merged" in check.problems[0].fix


def test_what_differs_from_training_is_a_note(tmp_path: Path):
    template = TemplatePart(sha256="7" * 64, origin="bundled:chatml")
    check = check_vllm([adapter(tmp_path / "a", template=template, held="nf4")])
    assert (check.fits, [note.code for note in check.notes]) == (True, ["vllm.quantised-base", "vllm.template"])
    assert check.command[5:7] == ("--chat-template", "chatml.jinja")


def test_an_adapter_of_a_training_names_the_base_models_folder(tiny_model_dir: Path, tmp_path: Path):
    with tiny_tuner(tiny_model_dir, tmp_path, lora={"rank": 4, "alpha": 4}) as tuner:
        result = tuner.train()
    check = check_vllm([result.run_dir])
    assert check.problems == ()
    assert check.command[2] == str(tiny_model_dir.resolve())
    assert check.adapters[0].folder == result.adapter_dir


def test_the_command_line_prints_the_command_or_leaves_with_a_code(tmp_path: Path, capsys):
    show_vllm_check([adapter(tmp_path / "a")], json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["fits"], told["command"][:2], told["problems"]) == (True, ["vllm", "serve"], [])
    with pytest.raises(Exit) as ended:
        show_vllm_check([adapter(tmp_path / "b", settings={"use_dora": True})], json=False)
    out, err = capsys.readouterr()
    assert (ended.value.exit_code, "--enable-lora" in out, "vllm.dora" in err) == (4, True, True)


def test_no_model_library_is_needed():
    look = "import sys, lorasdk.artifacts.vllm_check; print({'torch', 'transformers', 'peft'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout == "set()\n"
