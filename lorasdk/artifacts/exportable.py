"""What can be exported, and what a format must do with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import torch

from lorasdk.artifacts.export_passport import MergingPart
from lorasdk.artifacts.golden import GoldenPrompt, log_probabilities
from lorasdk.artifacts.passport import Passport
from lorasdk.artifacts.proof import Proof
from lorasdk.basemodel.loading import LoadedBase
from lorasdk.basemodel.saved_adapter import attach_saved_adapter
from lorasdk.recipe.schema import GenerationSection, LoraSection

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    Model: TypeAlias = PreTrainedModel | PeftModel


@dataclass(frozen=True)
class Exportable:
    """An adapter with the model that was trained, in memory."""

    adapter_dir: Path
    passport: Passport
    model: PeftModel
    """As it was trained and answers."""
    base: LoadedBase
    """Its base."""
    lock: AbstractContextManager[object]
    """Held while `model` computes."""
    lora: LoraSection
    tokenizer: PreTrainedTokenizerBase
    """With the chat template that the adapter was trained with."""
    stop_ids: frozenset[int]
    """Tokens that end an answer."""
    generation: GenerationSection
    prompts: Sequence[GoldenPrompt]
    load_again: Callable[[], LoadedBase]
    """The base as it was held for training."""
    load_full: Callable[[], LoadedBase]
    """The base from its original weights, in float32 on the CPU."""

    @property
    def name(self) -> str:
        """The recipe's."""
        return str(self.passport.recipe["name"])

    @property
    def gguf(self) -> Path | None:
        """The GGUF file that the base came as, if it did."""
        return self.base.located.path if self.base.located.format == "gguf" else None

    def full_model(self) -> PeftModel:
        """The adapter on the original weights, in float32 on the CPU."""
        return attach_saved_adapter(self.load_full(), self.adapter_dir)

    def said(self) -> list[torch.Tensor]:
        """What the model in memory says to the golden prompts."""
        with self.lock:
            return [log_probabilities(self.model, prompt) for prompt in self.prompts]


@dataclass(frozen=True)
class Written:
    """What a format wrote, and what is expected of it."""

    expected: Sequence[torch.Tensor]
    """(positions, vocabulary) for each golden prompt: log-probabilities in nats."""
    computed: str
    """Type that they were computed in."""
    merging: MergingPart | None = None


class ExportFormat(Protocol):
    """One way to write an adapter, with its base model or without."""

    @property
    def name(self) -> str:
        """What callers call it; also its ``kind`` in passports."""
        ...

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Types that weights can be written in, the usual one first."""
        ...

    def check(self, config: PretrainedConfig, gguf: Path | None) -> None:
        """Refuse what the format cannot hold, before any heavy work; `gguf` is the file that the base came as."""
        ...

    def tolerance(self, source: Exportable, dtype: str) -> float:
        """Largest difference that passes, in nats, of weights that are written in `dtype`."""
        ...

    def write(self, source: Exportable, draft: Path, *, dtype: str) -> Written:
        """Fill the draft of a folder, without passport."""
        ...

    def reload(self, source: Exportable, draft: Path) -> AbstractContextManager[Model]:
        """Give what was written, read back from the disk, ready to compute."""
        ...

    def seal(self, source: Exportable, draft: Path, *, dtype: str, proof: Proof, merging: MergingPart | None) -> None:
        """Write passport, record and card."""
        ...
