"""What running work announces: frozen facts, handed to callbacks and plugins in order.

An event is data: observers read it and must not change anything reachable from it. New events and new fields may be
added in any release; a field is never renamed or removed within a major version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Notice:
    """Something was decided or skipped that the user would want to know."""

    code: str
    """Stable identifier, such as ``data.duplicates`` or ``template.fallback``."""
    message: str
    """One sentence."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A training run begins."""

    run_dir: Path
    """Folder that receives everything the run writes."""
    recipe_name: str
    """``Recipe.name``."""
    recipe_fingerprint: str
    """``Recipe.fingerprint``."""
    resumed_from: int = 0
    """Steps that were taken already; 0 for a run from the start."""


@dataclass(frozen=True, slots=True)
class DataPrepared:
    """All rows of one split are tokenised and their loss masks proved."""

    split: str
    """``train``, ``validation`` or ``test``."""
    rows: int
    """Rows that will be used."""
    skipped: int
    """Rows left out by the recipe's policies."""
    tokens: int
    """Tokens of all rows together."""
    supervised_tokens: int
    """Tokens that the loss is taken on."""
    longest: int
    """Tokens of the longest row."""


@dataclass(frozen=True, slots=True)
class BaseModelLoaded:
    """The base model is in memory."""

    source: str
    """The recipe's ``base_model.source``."""
    device: str
    """Where it computes, such as ``cpu`` or ``cuda:0``."""
    dtype: str
    """What it computes in, such as ``bfloat16``."""
    quantization: str
    """``none``, ``int8`` or ``nf4``."""
    parameters: int
    """Parameters of the base model."""
    seconds: float
    """Time it took to load; 0 when an earlier run of `FineTuner.train_many` had loaded it."""


@dataclass(frozen=True, slots=True)
class AdapterAttached:
    """LoRA matrices were added to the base model."""

    trainable_parameters: int
    """Parameters that will be trained."""
    total_parameters: int
    """Parameters of base model and adapter together."""
    modules: tuple[str, ...]
    """Full names of the adapted modules and parameters."""

    @property
    def trainable_share(self) -> float:
        """Trainable parameters as a share of all, 0 to 1."""
        return self.trainable_parameters / self.total_parameters


@dataclass(frozen=True, slots=True)
class StepFinished:
    """One optimizer step was taken."""

    step: int
    """Steps taken so far, from 1."""
    total_steps: int
    """Steps the run will take unless it stops early."""
    epoch: float
    """Passes over the training rows so far, as a fraction."""
    loss: float
    """Mean cross-entropy per supervised token of this step's rows, in nats."""
    learning_rate: float
    """Learning rate this step used."""
    gradient_norm: float
    """Euclidean norm of all gradients before clipping."""
    tokens: int
    """Tokens of this step's rows, padding left out."""
    tokens_per_second: float
    """Tokens of this step divided by its duration."""
    peak_memory_bytes: int
    """Highest memory use seen after a forward pass: resident set of the process on a CPU, else allocated memory."""
    seconds_left: float
    """Estimated time to the last step."""


@dataclass(frozen=True, slots=True)
class LossSpike:
    """The loss of a step is more than ten times the usual one."""

    step: int
    """The step."""
    loss: float
    """Its loss, in nats per supervised token."""
    usual: float
    """Median loss of the last 16 steps."""
    skipped: bool
    """Whether the weights were left as they were, as ``training.on_loss_spike: skip`` asks."""


@dataclass(frozen=True, slots=True)
class MicroBatchHalved:
    """Memory ran out, so steps are computed with fewer rows at a time; what they compute stays the same."""

    step: int
    """The step that is computed again."""
    rows: int
    """Rows of a forward pass from now on, at most."""
    reason: str
    """What was needed and available."""


@dataclass(frozen=True, slots=True)
class EvaluationFinished:
    """The validation rows were measured during training."""

    step: int
    """Steps taken before the measurement."""
    metrics: Mapping[str, float]
    """Metric name to value: ``loss``, ``perplexity``, ``token_accuracy`` and any evaluator's score."""
    best: bool
    """Whether the watched metric is the best so far."""


@dataclass(frozen=True, slots=True)
class ComparisonFinished:
    """The untouched base model and the adapter were scored on the same rows; this may be long after the run."""

    adapter_dir: Path
    """The adapter."""
    rows: int
    """Test rows that were scored."""
    base: Mapping[str, float]
    """Evaluator to its aggregate for the base model."""
    tuned: Mapping[str, float]
    """Evaluator to its aggregate with the adapter."""


@dataclass(frozen=True, slots=True)
class AdapterSaved:
    """An adapter folder was written completely."""

    path: Path
    """The adapter folder."""
    step: int
    """Steps taken by the adapter in it."""


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """The checkpoint of a step is on the disk, whole."""

    path: Path
    """The checkpoint's folder."""
    step: int
    """Steps taken when it was written."""


@dataclass(frozen=True, slots=True)
class PredictionProgress:
    """Part of a batch of answers is done."""

    done: int
    """Answers finished so far."""
    total: int
    """Answers asked for."""
    label: str
    """What is being answered, such as ``base`` or ``tuned``."""


@dataclass(frozen=True, slots=True)
class RunStopped:
    """The run ended before its last step because somebody or a rule asked for it."""

    step: int
    """Steps taken."""
    reason: str
    """``requested`` or ``early_stopping``."""


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The run ended with an error, which its caller gets; what was saved before is good."""

    code: str
    """The error's code, or the name of its type where it is none of ours."""
    message: str
    """What the error says."""


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is over and its adapter is on disk."""

    adapter_dir: Path
    """The adapter folder."""
    steps: int
    """Steps taken."""
    seconds: float
    """Duration of the run."""


_OfRun: TypeAlias = RunStarted | RunStopped | RunFailed | RunFinished
_OfStart: TypeAlias = DataPrepared | BaseModelLoaded | AdapterAttached
_OfStep: TypeAlias = StepFinished | LossSpike | MicroBatchHalved | EvaluationFinished
_OfDisk: TypeAlias = AdapterSaved | CheckpointSaved

Event: TypeAlias = Notice | _OfRun | _OfStart | _OfStep | _OfDisk | ComparisonFinished | PredictionProgress
"""Any event."""

Emit: TypeAlias = Callable[[Event], None]
"""What running work calls with each event."""
