"""What is used of lm-evaluation-harness, with types, since it ships none.

It is imported inside functions, since it is slow to import. Call them inside `as_guest` only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeAlias

Document: TypeAlias = Mapping[str, Any]
"""One item of a benchmark."""
Config: TypeAlias = Mapping[str, Any]
"""What a task's YAML says."""
Shown: TypeAlias = Callable[..., object]
"""Makes a context of the turns (dicts with role and content) that the harness has put together."""


class Instance(Protocol):
    """One request about a document."""

    request_type: str
    arguments: tuple[Any, ...]
    doc_id: int
    idx: int
    repeats: int
    resps: list[object]
    filtered_resps: dict[str, object]


class Task(Protocol):
    """A benchmark, its documents loaded."""

    _instances: Sequence[Instance]

    def get_config(self, key: str) -> Any: ...  # noqa: ANN401, D102
    def set_config(self, key: str, value: object) -> None: ...  # noqa: D102
    def set_fewshot_seed(self, seed: int) -> None: ...  # noqa: D102
    def doc_iterator(self, *, limit: int | None) -> Iterator[tuple[int, Document]]: ...  # noqa: D102
    def doc_to_prefix(self, doc: Document) -> str | None: ...  # noqa: D102
    def doc_to_target(self, doc: Document) -> Any: ...  # noqa: ANN401, D102
    def fewshot_context(self, *, doc: Document, num_fewshot: int, **how: object) -> object: ...  # noqa: D102
    def construct_requests(self, doc: Document, ctx: object, **how: object) -> Instance | list[Instance]: ...  # noqa: D102
    def apply_filters(self) -> object: ...  # noqa: D102
    def process_results(self, doc: Document, results: Sequence[object]) -> Mapping[str, object]: ...  # noqa: D102
    def aggregation(self) -> Mapping[str, Callable[..., object]]: ...  # noqa: D102
    def higher_is_better(self) -> Mapping[str, bool]: ...  # noqa: D102


class Kind(Protocol):
    """What an entry describes."""

    name: str


class Entry(Protocol):
    """Where a task, group or tag is described."""

    name: str
    kind: Kind
    yaml_path: Path | None
    cfg: dict[str, Any] | None
    tags: set[str]


KEPT = ("task", "group", "unsafe_code", "output_type", "doc_to_image", "doc_to_audio")
"""What is remembered of a task that comes with the harness; the rest is read when it is loaded."""


@cache
def installed_tasks() -> Mapping[str, Entry]:
    """What comes with the harness, by name; reading its thousands of files takes seconds, so once per process."""
    from dataclasses import replace

    entries = _indexed()
    return {name: replace(entry, cfg=_slim(entry.cfg)) for name, entry in entries.items()}


def tasks_in(folder: Path) -> dict[str, Entry]:
    """What a folder describes, by name; no code of it is run. Files that describe no task are passed over."""
    return dict(_indexed(include_path=str(folder), include_defaults=False))


def with_config(entry: Entry, config: Config) -> Entry:
    """The entry with its whole description in memory instead of in a file."""
    from dataclasses import replace

    changed: Entry = replace(entry, yaml_path=None, cfg=dict(config))  # type: ignore[type-var]
    return changed


def load_tasks(name: str, entries: Mapping[str, Entry]) -> dict[str, Task]:
    """Build a task, or all that a group or tag stands for, by name; this loads their data."""
    manager = _manager()(include_defaults=False)
    manager.task_index.update(entries)
    tasks: dict[str, Task] = manager.load([name])["tasks"]
    return tasks


def read_with_code(path: Path) -> dict[str, Any]:
    """A task's description with the Python functions that it names imported."""
    from lm_eval.tasks._yaml_loader import load_yaml  # type: ignore[import-not-found,import-untyped,unused-ignore]

    config: dict[str, Any] = load_yaml(path, resolve_func=True)
    return config


def registered_metrics() -> frozenset[str]:
    """Metrics that the harness computes itself; others it would fetch as code from a hub."""
    import lm_eval.api.metrics  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: F401
    from lm_eval.api.registry import metric_registry  # type: ignore[import-not-found,import-untyped,unused-ignore]

    return frozenset(metric_registry)


def is_mean(aggregation: Callable[..., object]) -> bool:
    """Whether a metric's aggregate is the mean of its documents' scores."""
    from lm_eval.api.metrics import mean  # type: ignore[import-not-found,import-untyped,unused-ignore]

    return aggregation is mean


def _indexed(**where: object) -> Mapping[str, Any]:
    index: Mapping[str, Any] = _manager()(**where).task_index
    return index


def _manager() -> Any:  # noqa: ANN401 - a class without types
    from lm_eval.tasks import TaskManager  # type: ignore[import-not-found,import-untyped,unused-ignore]

    return TaskManager


def _slim(config: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: config[key] for key in KEPT if key in config} if config else {}


def as_list(instances: Instance | Iterable[Instance]) -> list[Instance]:
    """What `construct_requests` gives, always as a list."""
    return list(instances) if isinstance(instances, list) else [instances]  # type: ignore[list-item]
