"""One export, from an adapter in memory to a folder that has proved itself. Heavy: imported when work begins."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lorasdk.artifacts.export_folder import require_free
from lorasdk.artifacts.export_formats import format_and_dtype
from lorasdk.artifacts.export_passport import MergingPart
from lorasdk.artifacts.exportable import Exportable, ExportFormat, Written
from lorasdk.artifacts.golden import golden_prompts, log_probabilities
from lorasdk.artifacts.passport import read_passport
from lorasdk.artifacts.proof import Proof, proof_of
from lorasdk.basemodel.loading import LoadedBase, load_base_model, model_folder
from lorasdk.basemodel.model_config import read_model_config
from lorasdk.checkpoints.whole_folder import whole_folder
from lorasdk.errors import AdapterError, Problem
from lorasdk.events import Notice
from lorasdk.exports import ExportOrder, ExportResult
from lorasdk.workbench.bench import Workbench

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class ExportRun:
    """An export of the adapter that a tuner answers with."""

    bench: Workbench
    order: ExportOrder

    def run(self) -> ExportResult:
        """Refuse what is cheap to refuse, write, read back, compare, and only then let the folder appear.

        Raises:
            InferenceError: an unknown format or type.
            AdapterError: the folder is in use, the format cannot hold the model, or what was read back differs.
            ResourceError: the disk refuses.
        """
        order, located = self.order, self.bench.located
        chosen, dtype = format_and_dtype(order.options.format, order.options.dtype)
        needed = (order.adapter_dir, located.path)
        require_free(order.folder, overwrite=order.options.overwrite, needed=needed)
        trust = self.bench.trust_remote_code
        config = read_model_config(model_folder(located), trust_remote_code=trust)
        chosen.check(config, located.path if located.format == "gguf" else None)
        bench = order.attach()
        assert isinstance(bench, Workbench)
        return replace(self, bench=bench).write(chosen, dtype)

    def write(self, chosen: ExportFormat, dtype: str) -> ExportResult:
        """Write with the adapter that is on the bench, compare, and let the folder appear.

        Raises:
            AdapterError, ResourceError: as `run`.
        """
        order, source = self.order, self._source()
        what, replacing = f"the export ({chosen.name})", order.options.overwrite
        with whole_folder(order.folder, what=what, code="export.disk", parents=True, replacing=replacing) as draft:
            written = chosen.write(source, draft, dtype=dtype)
            proof = self._compared(chosen, dtype, source, draft, written)
            if not proof.same and order.options.on_difference == "refuse":
                raise AdapterError(_differs(order.folder, proof))
            chosen.seal(source, draft, dtype=dtype, proof=proof, merging=written.merging)
        self._tell(proof, written.merging)
        return self._result(chosen, dtype, proof, written.merging)

    def _compared(self, chosen: ExportFormat, dtype: str, source: Exportable, draft: Path, written: Written) -> Proof:
        with chosen.reload(source, draft) as model:
            found = [log_probabilities(model, prompt) for prompt in source.prompts]
        return proof_of(
            source.prompts,
            expected=written.expected,
            found=found,
            dtype=written.computed,
            tolerance=chosen.tolerance(source, dtype),
        )

    def _source(self) -> Exportable:
        bench = self.bench
        assert bench.model is not None
        assert bench.base is not None
        recipe = bench.resolved.recipe
        full = {"device": "cpu", "quantization": "none", "dtype": "float32"}
        return Exportable(
            adapter_dir=self.order.adapter_dir,
            passport=read_passport(self.order.adapter_dir),
            model=bench.model,
            base=bench.base,
            lock=bench.lock,
            lora=recipe.lora,
            tokenizer=self._tokenizer(),
            stop_ids=bench.encoder.stop_ids,
            generation=recipe.generation,
            prompts=golden_prompts(bench.encoder, self.order.test_rows()),
            load_again=lambda: self._load({}),
            load_full=lambda: self._load(full),
        )

    def _load(self, changes: dict[str, str]) -> LoadedBase:
        section = self.bench.resolved.recipe.base_model.model_copy(update=changes)
        return load_base_model(self.bench.located, section, trust_remote_code=self.bench.trust_remote_code)

    def _tokenizer(self) -> PreTrainedTokenizerBase:
        """A copy with the template of the training, which need not be the tokenizer's own."""
        tokenizer = copy.deepcopy(self.bench.encoder.tokenizer)
        tokenizer.chat_template = self.bench.encoder.renderer.template.source
        return tokenizer

    def _tell(self, proof: Proof, merging: MergingPart | None) -> None:
        told, emit = proof.verification, self.order.emit
        if merging is not None and len(merging.distances) > 1:
            distances = " and ".join(f"{value:.2g} nats for the {base}" for base, value in merging.distances.items())
            why = f"mean divergence from the trained model is {distances} weights"
            emit(Notice("export.base-chosen", f"merged into the {merging.base} weights of the base: {why}"))
        measured = f"log-probabilities differ by at most {told.largest_difference:.1e} nats"
        if proof.same:
            emit(Notice("export.verified", f"read back from the disk, {measured}"))
        else:
            emit(Notice("export.labelled", f"kept, and labelled, although {measured}; {told.tolerance:g} would pass"))

    def _result(self, chosen: ExportFormat, dtype: str, proof: Proof, merging: MergingPart | None) -> ExportResult:
        told, folder = proof.verification, self.order.folder
        assert told.largest_difference is not None
        assert told.tolerance is not None
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        return ExportResult(
            folder=folder,
            format=chosen.name,
            dtype=dtype,
            files=tuple(files),
            verdict="same" if proof.same else "differs",
            largest_difference=told.largest_difference,
            tolerance=told.tolerance,
            prompts=told.prompts,
            rows=told.rows,
            base=None if merging is None else merging.base,
            distances=None if merging is None else merging.distances,
        )


def _differs(folder: Path, proof: Proof) -> Problem:
    told = proof.verification
    return Problem(
        code="export.differs",
        message="read back from the disk, the export answers otherwise than the model that it was made from",
        place=str(folder),
        found=f"log-probabilities differ by up to {told.largest_difference:.2g} nats",
        allowed=f"at most {told.tolerance:g} nats",
        fix="write another dtype, or keep it with a label: on_difference='label' (--label)",
    )
