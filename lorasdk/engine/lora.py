"""Attaches LoRA to a base model through PEFT, and says exactly what did not match.

Variants and initialisations are PEFT's own (`peft.LoraConfig`); this file adds none. It refuses what PEFT would
silently ignore: a target, pattern or layer that matches nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from peft import EvaConfig, LoftQConfig, LoraConfig, PeftModel, get_peft_model
from peft import initialize_lora_eva_weights as initialise_eva
from peft.tuners.lora.config import CordaConfig
from peft.tuners.lora.corda import preprocess_corda

from lorasdk.basemodel.base_biases import keep_base_biases
from lorasdk.basemodel.quiet import quiet
from lorasdk.basemodel.scoped_random import scoped_random
from lorasdk.errors import ModelError, Problem
from lorasdk.events import AdapterAttached
from lorasdk.recipe.schema import LoraSection

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ADAPTER = "default"
"""PEFT's name of the adapter that is trained."""

Batch = Mapping[str, torch.Tensor]


def attach_lora(model: PreTrainedModel, section: LoraSection, *, seed: int, batches: Sequence[Batch]) -> PeftModel:
    """Add LoRA matrices to `model`, in place.

    Args:
        model: a loaded base model, frozen.
        section: the recipe's ``lora`` section.
        seed: of the initialisation; the global random state is left as it was.
        batches: model inputs for initialisations that look at data (``eva``, ``corda``).

    Returns:
        The PEFT model; the adapter's parameters are float32 and the only ones that require gradients.

    Raises:
        ModelError: a target, pattern, layer or parameter matches nothing, or PEFT refuses the combination.
    """
    problems = [
        *_unmatched_targets(model, section),
        *_unmatched_patterns(model, section),
        *_absent_layers(model, section),
    ]
    if problems:
        raise ModelError(*problems)
    with quiet(), scoped_random(model.device, seed=seed):
        try:
            attached = _attach(model, _peft_config(model, section), batches)
        except (ValueError, TypeError, NotImplementedError, ImportError, RuntimeError, AssertionError) as error:
            # AssertionError: torch's word for a device that PEFT's initialisation needs and that is not there.
            raise ModelError(_refused(section, error)) from error
    keep_base_biases(attached)
    return attached


def describe_attachment(model: PeftModel) -> AdapterAttached:
    """Count what is trained and name the adapted modules."""
    trainable, total = model.get_nb_trainable_parameters()
    base = model.base_model
    modules = [*base.targeted_module_names, *(base.targeted_parameter_names or ())]
    return AdapterAttached(trainable, total, tuple(modules))


def _peft_config(model: PreTrainedModel, section: LoraSection) -> LoraConfig:
    extra: dict[str, Any] = {
        "eva": {"eva_config": EvaConfig()},
        "corda": {"corda_config": CordaConfig()},
        "loftq": {"loftq_config": LoftQConfig()},
    }.get(section.init, {})
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=section.rank,
        lora_alpha=section.alpha,
        lora_dropout=section.dropout,
        bias=section.bias,
        target_modules=_targets(model, section),
        rank_pattern=dict(section.rank_pattern),
        alpha_pattern=dict(section.alpha_pattern),
        layers_to_transform=None if section.layers is None else list(section.layers),
        modules_to_save=list(section.modules_to_save) or None,
        target_parameters=list(section.target_parameters) or None,
        use_rslora=section.rslora,
        use_dora=section.dora,
        init_lora_weights=True if section.init == "default" else section.init,
        **extra,
    )


def _targets(model: PreTrainedModel, section: LoraSection) -> str | list[str]:
    if section.targets == "all-linear" and section.layers is not None:
        # PEFT takes chosen layers only together with names.
        return sorted({name.rsplit(".", 1)[-1] for name in _linear_but_output(model)})
    return section.targets if isinstance(section.targets, str) else list(section.targets)


def _attach(model: PreTrainedModel, config: LoraConfig, batches: Sequence[Batch]) -> PeftModel:
    if config.init_lora_weights == "corda":
        if config.target_modules == "all-linear":
            # CorDA looks for its layers before PEFT expands the word.
            config.target_modules = _linear_but_output(model)
        preprocess_corda(model, config, run_model=lambda: _run(model, batches))
    adapted = get_peft_model(model, config, adapter_name=ADAPTER)
    if config.init_lora_weights == "eva":
        initialise_eva(adapted, list(batches), show_progress_bar=False)
    return adapted


@torch.no_grad()
def _run(model: PreTrainedModel, batches: Iterable[Batch]) -> None:
    for batch in batches:
        model(**batch)


def linear_layers(model: torch.nn.Module) -> dict[str, int]:
    """Names of the linear layers that can be adapted, with how often each occurs."""
    names = (name for name, module in model.named_modules() if _is_linear(module))
    return dict(Counter(name.rsplit(".", 1)[-1] for name in names))


def _is_linear(module: torch.nn.Module) -> bool:
    # Quantised layers and GPT-2's Conv1D are linear too, though not all of them inherit from nn.Linear.
    return isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D"


def _linear_but_output(model: PreTrainedModel) -> set[str]:
    output = model.get_output_embeddings()
    return {name for name, module in model.named_modules() if _is_linear(module) and module is not output}


def _unmatched_targets(model: torch.nn.Module, section: LoraSection) -> list[Problem]:
    if section.targets == "all-linear":
        return []
    names = [name for name, _ in model.named_modules()]
    if isinstance(section.targets, str):
        missing = [] if _matches_regex(section.targets, names) else [section.targets]
    else:
        missing = [t for t in section.targets if not any(n == t or n.endswith(f".{t}") for n in names)]
    candidates = ", ".join(f"{name} (×{count})" for name, count in linear_layers(model).items())
    return [
        Problem(
            code="lora.target-matches-nothing",
            message=f"{target!r} matches no module of the base model",
            field="lora.targets",
            found=repr(target),
            allowed=f"linear layers of this model: {candidates}",
            fix="correct the name, or use targets: all-linear",
        )
        for target in missing
    ]


def _matches_regex(pattern: str, names: Iterable[str]) -> bool:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ModelError(
            Problem(
                code="lora.bad-regex",
                message=f"the regular expression cannot be read: {error}",
                field="lora.targets",
                found=repr(pattern),
                allowed="a list of names, a regular expression over full module names, or all-linear",
                fix="correct the expression; a single module name must stand in a list: [q_proj]",
            )
        ) from error
    return any(compiled.fullmatch(name) for name in names)


def _unmatched_patterns(model: torch.nn.Module, section: LoraSection) -> list[Problem]:
    names = [name for name, _ in model.named_modules()]
    return [
        Problem(
            code="lora.pattern-matches-nothing",
            message=f"{key!r} matches no module of the base model",
            field=f"lora.{field}",
            found=repr(key),
            allowed="a module name or a regular expression that ends one, such as q_proj or layers\\.0\\..*",
            fix="correct or remove the key",
        )
        for field, patterns in (("rank_pattern", section.rank_pattern), ("alpha_pattern", section.alpha_pattern))
        for key in patterns
        # The rule PEFT applies to each module name.
        if not any(re.match(rf"(.*\.)?({key})$", name) for name in names)
    ]


def _absent_layers(model: PreTrainedModel, section: LoraSection) -> list[Problem]:
    count = model.config.get_text_config().num_hidden_layers
    absent = [layer for layer in section.layers or () if layer >= count]
    if not absent:
        return []
    return [
        Problem(
            code="lora.absent-layer",
            message=f"the base model has {count} layers",
            field="lora.layers",
            found=", ".join(map(str, absent)),
            allowed=f"0 to {count - 1}",
            fix="remove the indices that do not exist",
        )
    ]


def _refused(section: LoraSection, error: Exception) -> Problem:
    changed = section.model_dump(exclude_defaults=True)
    return Problem(
        code="lora.refused",
        message=f"PEFT refuses this combination: {error}",
        field="lora",
        found=", ".join(f"{key}: {value}" for key, value in changed.items()) or "the defaults",
        fix="change the fields that the message names",
    )
