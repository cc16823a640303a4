"""What a `FineTuner` holds in memory: tokenizer, base model, adapter. Heavy: imported only when work begins."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lorasdk.artifacts.adapter_folder import check_weights
from lorasdk.artifacts.passport import Passport
from lorasdk.basemodel.lent_base import BaseLoan
from lorasdk.basemodel.loading import LoadedBase, load_base_model, model_folder
from lorasdk.basemodel.low_rank import read_low_rank
from lorasdk.basemodel.saved_adapter import attach_saved_adapter, check_base_fingerprint
from lorasdk.basemodel.tokenizer import load_tokenizer
from lorasdk.contracts import LocatedModel
from lorasdk.data.encoding import Encoder
from lorasdk.data.examples import Examples
from lorasdk.data.prepare import PreparedSplit, Remembered, prepare_split
from lorasdk.data.previewing import preview_rows
from lorasdk.data.template import choose_template
from lorasdk.data.token_cache import TokenCache
from lorasdk.errors import AdapterError, InferenceError, Problem
from lorasdk.eval_report import Forgetting
from lorasdk.evaluation.forgetting_bound import bounded
from lorasdk.evaluation.general_prompts import general_prompts
from lorasdk.events import BaseModelLoaded, Emit, Notice
from lorasdk.inference.departure import SETTINGS, measure_departure
from lorasdk.inference.fair_lock import FairLock
from lorasdk.inference.predictor import Predictor
from lorasdk.inference.resident_adapter import ResidentAdapter
from lorasdk.inference.scheduler import ContinuousScheduler, Subject
from lorasdk.recipe.schema import GenerationSection
from lorasdk.refusals import no_adapter
from lorasdk.resolving import Resolved
from lorasdk.results import PreviewRow
from lorasdk.stopping import StopToken

if TYPE_CHECKING:
    from peft import PeftModel

    from lorasdk.asking import SchedulerOrder


@dataclass
class Workbench:
    """A base model with its tokenizer and at most one adapter, in memory."""

    resolved: Resolved
    trust_remote_code: bool
    encoder: Encoder
    located: LocatedModel
    base: LoadedBase | None = None
    base_vocabulary: int = 0
    model: PeftModel | None = None
    lock: FairLock = field(default_factory=FairLock)
    loan: BaseLoan | None = None
    """Where the base model comes from and goes to, when several benches use one in turn."""

    @classmethod
    def of(cls, resolved: Resolved, *, trust_remote_code: bool, emit: Emit) -> Workbench:
        """Find the base model's files and load its tokenizer; the weights wait until they are needed."""
        request = replace(resolved.request, notify=lambda code, message: emit(Notice(code, message)))
        located = resolved.model_source.locate(request)
        tokenizer = load_tokenizer(model_folder(located), trust_remote_code=trust_remote_code)
        setting = resolved.recipe.base_model.chat_template
        template = choose_template(setting, tokenizer, resolve=resolved.recipe.path)
        if setting == "auto" and template.origin != "tokenizer":
            emit(Notice("template.fallback", f"the tokenizer has no chat template; using {template.origin}"))
        return cls(resolved, trust_remote_code, Encoder.of(tokenizer, template), located)

    def prepare(
        self, splits: Mapping[str, Examples], emit: Emit, *, between: Callable[[], None] = lambda: None
    ) -> dict[str, PreparedSplit]:
        """Encode and prove every split, or recall from the user's cache what that gave.

        `between` is called before each example and may raise to end the work.
        """
        cache = TokenCache.of_user()
        return {
            name: prepare_split(
                name,
                examples.items,
                self.encoder,
                self.resolved.recipe.data,
                skipped=examples.skipped,
                emit=emit,
                remembered=Remembered(cache, examples.identity),
                between=between,
            )
            for name, examples in splits.items()
        }

    @property
    def has_adapter(self) -> bool:
        """Whether an adapter is in memory."""
        return self.model is not None

    def preview(self, splits: Mapping[str, Examples], rows: int, emit: Emit) -> tuple[PreviewRow, ...]:
        """The first rows of each split as the model will see them, once the masks of all are proved."""
        prepared = self.prepare(splits, emit)
        return tuple(row for split in prepared.values() for row in preview_rows(split, self.encoder, rows))

    def load_base(self, emit: Emit) -> LoadedBase:
        """The base model, loaded at the first call."""
        if self.base is None:
            section = self.resolved.recipe.base_model
            base = self.loan.lend(self.located, self._loaded_base) if self.loan is not None else self._loaded_base()
            emit(
                BaseModelLoaded(
                    source=section.source,
                    device=base.device.name,
                    dtype=base.device.dtype,
                    quantization=base.quantization,
                    parameters=base.parameters,
                    seconds=base.seconds,
                )
            )
            self.base = base
            self.base_vocabulary = base.model.get_input_embeddings().weight.shape[0]
        return self.base

    def _loaded_base(self) -> LoadedBase:
        section = self.resolved.recipe.base_model
        return load_base_model(self.located, section, trust_remote_code=self.trust_remote_code)

    def share_base(self, former: object) -> None:
        """Use the base model that `former` gave back, if it is the same, and have one to give back."""
        self.loan = former.loan if isinstance(former, Workbench) else BaseLoan()

    def give_base_back(self) -> None:
        """Let go of all but the base model, if that is what it was, for the next bench."""
        base, self.base, self.model = self.base, None, None
        if base is not None and self.loan is not None:
            self.loan.give_back(base)

    def attach_saved(self, folder: Path, passport: Passport, *, allow_base_mismatch: bool, emit: Emit) -> None:
        """Put a saved adapter on the base model, if its passport agrees with template, weights and base.

        Raises:
            AdapterError: something does not agree.
        """
        base = self._fitting_base(folder, passport, allow_base_mismatch=allow_base_mismatch, emit=emit)
        self.model = attach_saved_adapter(base, folder)

    def read_adapter(
        self, folder: Path, passport: Passport, *, allow_base_mismatch: bool, emit: Emit
    ) -> ResidentAdapter:
        """Read a saved adapter to lie beside the base model, if its passport agrees with template, weights and base.

        Raises:
            AdapterError: something does not agree, or it does more than add matrices to linear layers.
        """
        base = self._fitting_base(folder, passport, allow_base_mismatch=allow_base_mismatch, emit=emit)
        return ResidentAdapter(read_low_rank(base, folder))

    def _fitting_base(self, folder: Path, passport: Passport, *, allow_base_mismatch: bool, emit: Emit) -> LoadedBase:
        _require_template(passport, self.encoder, folder)
        check_weights(folder, passport)
        base = self.load_base(emit)
        check_base_fingerprint(
            passport.base_model.fingerprint,
            base.fingerprint,
            expected_source=passport.base_model.source,
            actual_source=self.resolved.recipe.base_model.source,
            override=allow_base_mismatch,
        )
        return base

    def schedule(self, order: SchedulerOrder, emit: Emit) -> ContinuousScheduler:
        """Something that answers requests together as they arrive."""
        model = self.model if self.model is not None else self.load_base(emit).model
        subject = Subject(model, self.encoder, self.lock, order.settings, order.voice)
        return ContinuousScheduler(subject, max_rows=order.max_rows, max_waiting=order.max_waiting)

    def predictor(
        self, settings: GenerationSection, *, adapter: bool, label: str, emit: Emit, stop: StopToken
    ) -> Predictor:
        """Something that answers, with the adapter or without."""
        model = self.model if self.model is not None else self.load_base(emit).model
        return Predictor(
            model=model,
            encoder=self.encoder,
            settings=settings,
            lock=self.lock,
            adapter=adapter,
            label=label,
            emit=emit,
            stop=stop,
        )

    def forgetting(self, *, emit: Emit, stop: StopToken) -> Forgetting:
        """How far the adapter has moved the model away from its base on the general prompts, within the recipe's bound.

        Raises:
            DataError: the chat template does not take the prompts.
            InferenceError: there is no adapter, the model's context is too short, or `stop` was thrown.
        """
        if self.model is None:
            raise InferenceError(no_adapter())
        prompts = general_prompts()
        base, tuned = (
            self.predictor(SETTINGS, adapter=adapter, label=f"{who}, general prompts", emit=emit, stop=stop)
            for who, adapter in (("base", False), ("tuned", True))
        )
        found = measure_departure(base, tuned, prompts.texts)
        return bounded(
            Forgetting(
                prompts=len(prompts.texts),
                divergence=found.divergence,
                base_perplexity=found.base_perplexity,
                tuned_perplexity=found.tuned_perplexity,
                prompt_set=prompts.identity,
            ),
            self.resolved.recipe.evaluation.max_forgetting,
            emit,
        )

    def release(self) -> None:
        """Let go of the model's memory."""
        self.model = self.base = None
        gc.collect()


def _require_template(passport: Passport, encoder: Encoder, folder: Path) -> None:
    template = encoder.renderer.template
    if template.sha256 == passport.template.sha256:
        return
    raise AdapterError(
        Problem(
            code="adapter.template-changed",
            message="the chat template is not the one the adapter was trained with, so prompts would differ",
            place=str(folder),
            field="base_model.chat_template",
            found=f"{template.origin}, sha256 {template.sha256}",
            allowed=f"{passport.template.origin}, sha256 {passport.template.sha256}",
            fix="use the base model's files as they were, or train again",
        )
    )
