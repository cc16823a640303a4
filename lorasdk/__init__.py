"""Fine-tune language models with LoRA inside your own program: a recipe goes in, an adapter and its proof come out.

Example::

    from lorasdk import FineTuner

    tuner = FineTuner.from_recipe(
        {"name": "greetings", "data": {"train": "greetings.jsonl"}, "training": {"epochs": 3}}
    )
    result = tuner.train(on_event=print)
    print(result.adapter_dir, result.trainable_share)
    print(tuner.infer("Good morning!").text)

Importing this module loads no model library; `FineTuner` does so when work begins.
"""

from lorasdk.asking import Ask, ChosenToken, Piece, Scheduler, SchedulerLoad, Ticket, TokenChance
from lorasdk.background.run import Run
from lorasdk.background.run_events import RunEvents
from lorasdk.contracts import (
    Aggregating,
    BringingExamples,
    DataLoader,
    EvaluationContext,
    Evaluator,
    Example,
    LoadContext,
    LocatedModel,
    Message,
    ModelSource,
    Predictor,
    SourceRequest,
)
from lorasdk.errors import (
    AdapterError,
    CheckpointError,
    DataError,
    InferenceError,
    LorasdkError,
    ModelError,
    PluginError,
    Problem,
    RecipeError,
    ResourceError,
    TrainingError,
)
from lorasdk.eval_report import (
    AnswerPair,
    Baseline,
    ClassScore,
    EvalReport,
    Forgetting,
    Interval,
    LabelReport,
    Overlap,
    Score,
)
from lorasdk.events import (
    AdapterAttached,
    AdapterSaved,
    BaseModelLoaded,
    CheckpointSaved,
    ComparisonFinished,
    DataPrepared,
    EvaluationFinished,
    Event,
    LossSpike,
    MicroBatchHalved,
    Notice,
    PredictionProgress,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopped,
    StepFinished,
)
from lorasdk.exports import ExportResult, VerificationReport
from lorasdk.finetuner import FineTuner
from lorasdk.plugins import build_manager, data_loader, evaluator, hookimpl
from lorasdk.pushes import PushResult
from lorasdk.pushing import push_to_hub
from lorasdk.recipe import Recipe, load_recipe, recipe_schema
from lorasdk.results import (
    AdapterInfo,
    AnswerScore,
    Completion,
    LossPoint,
    PreviewRow,
    Span,
    TrainResult,
    ValidationPoint,
)
from lorasdk.runs.event_log import read_events
from lorasdk.stopping import StopToken, stop_on_signals
from lorasdk.tuner.adapter_set import AdapterSet
from lorasdk.tuner.many import RunOutcome
from lorasdk.tuner.verifying import verify

__all__ = [
    "AdapterAttached",
    "AdapterError",
    "AdapterInfo",
    "AdapterSaved",
    "AdapterSet",
    "Aggregating",
    "AnswerPair",
    "AnswerScore",
    "Ask",
    "BaseModelLoaded",
    "Baseline",
    "BringingExamples",
    "CheckpointError",
    "CheckpointSaved",
    "ChosenToken",
    "ClassScore",
    "ComparisonFinished",
    "Completion",
    "DataError",
    "DataLoader",
    "DataPrepared",
    "EvalReport",
    "EvaluationContext",
    "EvaluationFinished",
    "Evaluator",
    "Event",
    "Example",
    "ExportResult",
    "FineTuner",
    "Forgetting",
    "InferenceError",
    "Interval",
    "LabelReport",
    "LoadContext",
    "LocatedModel",
    "LorasdkError",
    "LossPoint",
    "LossSpike",
    "Message",
    "MicroBatchHalved",
    "ModelError",
    "ModelSource",
    "Notice",
    "Overlap",
    "Piece",
    "PluginError",
    "PredictionProgress",
    "Predictor",
    "PreviewRow",
    "Problem",
    "PushResult",
    "Recipe",
    "RecipeError",
    "ResourceError",
    "Run",
    "RunEvents",
    "RunFailed",
    "RunFinished",
    "RunOutcome",
    "RunStarted",
    "RunStopped",
    "Scheduler",
    "SchedulerLoad",
    "Score",
    "SourceRequest",
    "Span",
    "StepFinished",
    "StopToken",
    "Ticket",
    "TokenChance",
    "TrainResult",
    "TrainingError",
    "ValidationPoint",
    "VerificationReport",
    "build_manager",
    "data_loader",
    "evaluator",
    "hookimpl",
    "load_recipe",
    "push_to_hub",
    "read_events",
    "recipe_schema",
    "stop_on_signals",
    "verify",
]
