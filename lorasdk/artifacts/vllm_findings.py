"""What vLLM's loader of adapters refuses, and what it computes otherwise without a word."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from lorasdk.artifacts.passport import Passport
from lorasdk.artifacts.vllm_reading import SETTINGS, WEIGHTS, AsStored
from lorasdk.errors import Problem

MERGE = "export it merged (lorasdk export ADAPTER FOLDER) and serve that folder as an ordinary model"
SERVED = re.compile(r".+\.(lora_[AB]\.weight|lora_embedding_[AB])")
"""Weights of an adapter that vLLM takes."""
SHOWN = 3


def findings(stored: AsStored, *, highest: int) -> Iterator[Problem]:
    """Everything about one adapter that vLLM refuses, or would answer otherwise with."""
    yield from _settings(stored)
    if stored.rank > highest:
        yield _problem(
            "rank-too-large", stored, "r", f"vLLM serves adapters up to rank {highest}", found=str(stored.rank)
        )
    yield from _scales(stored)
    foreign = [tensor.name for tensor in stored.tensors if not SERVED.fullmatch(tensor.name)]
    if foreign and not (stored.settings.get("modules_to_save") or stored.settings.get("use_dora")):
        yield _problem(
            "unsupported-weight", stored, "", "vLLM knows no such weights of an adapter", found=_some(foreign)
        )


def base_findings(passport: Passport, folder: Path) -> tuple[list[Problem], list[Problem]]:
    """What is to be said of the base model: problems, and notes."""
    base = passport.base_model
    if any(name.lower().endswith(".gguf") for name in (base.source, base.identity)):
        return [_gguf(passport, folder)], _notes(passport, folder)
    return [], _notes(passport, folder)


def differences(folder: Path, passport: Passport, first: Passport) -> Iterator[Problem]:
    """What keeps an adapter from the server of another: there is one base model in it, and one chat template."""
    if passport.base_model.fingerprint != first.base_model.fingerprint:
        yield _other_base(folder, passport, first)
    if passport.template.sha256 != first.template.sha256:
        yield Problem(
            code="vllm.other-template",
            message="the adapters were trained with different chat templates, and one server has one",
            place=str(folder),
            field="base_model.chat_template",
            found=f"{passport.template.origin}, sha256 {passport.template.sha256}",
            allowed=f"{first.template.origin}, sha256 {first.template.sha256}",
            fix="start a server for each template",
        )


def _other_base(folder: Path, passport: Passport, first: Passport) -> Problem:
    return Problem(
        code="vllm.other-base",
        message="the adapters were trained on different base models, and one server has one",
        place=str(folder),
        field="base_model",
        found=f"{passport.base_model.identity} (weights {passport.base_model.fingerprint[:12]})",
        allowed=f"{first.base_model.identity} (weights {first.base_model.fingerprint[:12]})",
        fix="start a server for each base model",
    )


def _settings(stored: AsStored) -> Iterator[Problem]:
    settings = stored.settings
    if settings.get("use_dora"):
        yield _problem("dora", stored, "use_dora", "vLLM does not serve DoRA")
    if settings.get("bias", "none") != "none":
        yield _problem("bias", stored, "bias", "vLLM serves no trained biases", found=str(settings["bias"]))
    if settings.get("modules_to_save"):
        saved = ", ".join(settings["modules_to_save"])
        yield _problem("modules-to-save", stored, "modules_to_save", "vLLM serves no layers trained whole", found=saved)
    if settings.get("target_parameters"):
        named = ", ".join(settings["target_parameters"])
        message = "vLLM reads adapted experts in forms of its own, which these weights need not have"
        yield _problem("target-parameters", stored, "target_parameters", message, found=named)


def _scales(stored: AsStored) -> Iterator[Problem]:
    """One factor is for all layers there; what has another would be served, and answer otherwise."""
    uneven = [name for name, scale in stored.scales.items() if not math.isclose(scale, stored.scale)]
    if uneven:
        yield _problem(
            "uneven-scale",
            stored,
            "rank_pattern, alpha_pattern",
            f"vLLM scales all layers by alpha over rank of the settings, {stored.scale:g}, and says nothing; "
            f"{len(uneven)} layers of this adapter have another factor",
            found=_some([f"{name} {stored.scales[name]:g}" for name in uneven]),
        )


def _gguf(passport: Passport, folder: Path) -> Problem:
    return Problem(
        code="vllm.base-gguf",
        message="the base model is a GGUF file; vLLM's support of it is a plugin that its documentation calls "
        "experimental and perhaps incompatible with other features",
        place=str(folder),
        field="base_model.source",
        found=passport.base_model.source,
        allowed="a base model of safetensors, from a hub or a folder",
        fix=MERGE,
    )


def _notes(passport: Passport, folder: Path) -> list[Problem]:
    base, notes = passport.base_model, []
    if base.quantization != "none":
        notes.append(
            Problem(
                code="vllm.quantised-base",
                message=f"the adapter was trained on {base.quantization} weights, and the command serves the full "
                "precision ones, so answers differ a little from those that were measured",
                place=str(folder),
                field="base_model.quantization",
                fix="measure again on what is served",
            )
        )
    if passport.template.origin != "tokenizer":
        notes.append(
            Problem(
                code="vllm.template",
                message="training used another chat template than the tokenizer's own, and vLLM must be given it",
                place=str(folder),
                field="base_model.chat_template",
                found=f"{passport.template.origin}, sha256 {passport.template.sha256}",
                fix="put the file there and correct its path in --chat-template",
            )
        )
    return notes


def _problem(code: str, stored: AsStored, field: str, message: str, *, found: str = "") -> Problem:
    place = stored.folder / (SETTINGS if field else WEIGHTS)
    return Problem(code=f"vllm.{code}", message=message, place=str(place), field=field, found=found, fix=MERGE)


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
