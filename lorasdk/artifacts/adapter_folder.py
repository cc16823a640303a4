"""Writes an adapter folder: a plain PEFT adapter with its passport and its model card, whole or not at all."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from lorasdk.artifacts import golden_record, model_card
from lorasdk.artifacts.passport import FILE_NAME, Passport
from lorasdk.artifacts.proof import Proof
from lorasdk.basemodel.adapter_config import CONFIG
from lorasdk.checkpoints import fault_points
from lorasdk.checkpoints.whole_folder import whole_folder
from lorasdk.errors import AdapterError, Problem

if TYPE_CHECKING:
    from peft import PeftModel

WEIGHTS = "adapter_model.safetensors"
LIBRARIES = ("lorasdk", "torch", "transformers", "peft", "accelerate", "bitsandbytes", "tokenizers", "safetensors")


def save_adapter(
    model: PeftModel,
    folder: Path,
    *,
    base_name: str,
    base_vocabulary: int,
    passport: Callable[[str], Passport],
    prove: Callable[[Path], Proof],
    initial: Path | None = None,
) -> Passport:
    """Write `folder`, which must not exist, in one step.

    Args:
        model: its adapter ``default`` is written in PEFT's format.
        folder: its parent is made if needed.
        base_name: goes into PEFT's ``base_model_name_or_path``: the hub id, where there is one.
        base_vocabulary: rows of the base model's embedding on disk.
        passport: makes the passport from the hash of the weights.
        prove: reads the adapter back from the folder it is given, and compares it.
        initial: the adapter as it was initialised, for initialisations that change the base weights (PiSSA, OLoRA,
            CorDA): the difference is saved, which fits the unchanged base.

    Raises:
        AdapterError: the folder exists, or the adapter would not be whole.
        ResourceError: the disk refuses.
    """
    _require_saved_embeddings(model, base_vocabulary)
    if folder.exists():
        raise AdapterError(_exists(folder))
    with whole_folder(folder, what="the adapter", code="adapter.disk", parents=True) as draft:
        _write_peft(model, draft, base_name, initial)
        fault_points.reach("file-written")
        made = write_proof(draft, passport(sha256_of(draft / WEIGHTS)), prove(draft))
        # In place of PEFT's, which is a form to fill in and names the base model by its path on this machine.
        card = model_card.model_card(made, report=None)
        (draft / model_card.FILE_NAME).write_text(card, encoding="utf-8", newline="\n")
        fault_points.reach("file-written")
    return made


def write_proof(draft: Path, passport: Passport, proof: Proof) -> Passport:
    """Write an adapter's passport with what comparing it gave, and what was expected beside it."""
    files = {CONFIG: sha256_of(draft / CONFIG)}
    if proof.record is not None:
        text = proof.record.model_dump_json() + "\n"
        (draft / golden_record.FILE_NAME).write_text(text, encoding="utf-8", newline="\n")
        fault_points.reach("file-written")
        files[golden_record.FILE_NAME] = sha256_of(draft / golden_record.FILE_NAME)
    made = passport.model_copy(update={"verification": proof.verification, "files": files})
    (draft / FILE_NAME).write_text(made.model_dump_json(indent=2) + "\n", encoding="utf-8", newline="\n")
    fault_points.reach("file-written")
    return made


def check_weights(folder: Path, passport: Passport) -> None:
    """Compare the weights' hash with the passport's.

    Raises:
        AdapterError: the weights are missing or are not those the passport describes.
    """
    path = folder / WEIGHTS
    found = sha256_of(path) if path.is_file() else "no such file"
    if found != passport.adapter_sha256:
        raise AdapterError(
            Problem(
                code="adapter.damaged-weights",
                message="the weights are not those the passport describes",
                place=str(path.absolute()),
                found=f"sha256 {found}",
                allowed=f"sha256 {passport.adapter_sha256}",
                fix="restore the adapter folder from a copy, or train again",
            )
        )


def library_versions() -> dict[str, str]:
    """Versions that go into passports."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def _write_peft(model: PeftModel, draft: Path, base_name: str, initial: Path | None) -> None:
    config = model.peft_config["default"]
    config.base_model_name_or_path = base_name
    conversion = {} if initial is None else {"path_initial_model_for_weight_conversion": str(initial)}
    model.save_pretrained(str(draft), safe_serialization=True, save_embedding_layers=False, **conversion)


def _require_saved_embeddings(model: PeftModel, base_vocabulary: int) -> None:
    """Tokens added to the model live in its embedding; without it the adapter would fail where it is loaded."""
    rows = model.get_input_embeddings().weight.shape[0]
    saved = model.peft_config["default"].modules_to_save or []
    if rows == base_vocabulary or any(name.endswith(("embed_tokens", "wte", "word_embeddings")) for name in saved):
        return
    raise AdapterError(
        Problem(
            code="adapter.embeddings-not-saved",
            message=f"the model's embedding has {rows} rows and its base {base_vocabulary}; the adapter lacks them",
            field="lora.modules_to_save",
            found=", ".join(saved) or "nothing",
            allowed="modules_to_save with the embedding and the output layer when tokens were added",
            fix="set lora.modules_to_save: [embed_tokens, lm_head]",
        )
    )


def sha256_of(path: Path) -> str:
    """Hash of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _exists(folder: Path) -> Problem:
    return Problem(
        code="adapter.exists",
        message="the folder exists; nothing is ever overwritten",
        place=str(folder.absolute()),
        fix="choose another output_dir or name",
    )
