"""Reads tasks of a recipe's own folder as data, since a recipe may not bring code.

A task file of the harness can name Python functions, fetch metrics as code from a hub, and read pickles. What is
allowed here is a list of what can do none of that; templates are rendered in a sandbox, see `guest`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped,unused-ignore]

from lorasdk_lm_eval.harness import Entry, read_with_code, registered_metrics, with_config

KEYS = frozenset({
    "task", "task_alias", "tag", "group", "group_alias", "aggregate_metric_list", "metadata",
    "dataset_path", "dataset_name", "dataset_kwargs",
    "training_split", "validation_split", "test_split", "fewshot_split", "fewshot_config", "num_fewshot",
    "description", "doc_to_text", "doc_to_target", "doc_to_choice", "target_delimiter", "fewshot_delimiter",
    "gen_prefix", "output_type", "generation_kwargs", "repeats", "filter_list", "metric_list",
    "should_decontaminate", "doc_to_decontamination_query",
})  # fmt: skip
"""What a task or group may say."""
KEYS_OF_MEMBERS = KEYS - {"metadata"}
"""What a group may say about a task: some of the harness load a model, code and all, that `metadata` names."""
FORMATS = frozenset({"csv", "json", "parquet", "text"})
"""Local data; `datasets` knows others that are pickles."""
ON_A_HUB = re.compile(r"[\w.-]+/[\w.-]+")
READER_KEYS = frozenset({"column_names", "data_files", "delimiter", "field", "trust_remote_code"})
"""What a task may say to the reader of its data; the last is a leftover that the harness drops."""


def what_is_code(entry: Entry) -> list[str]:
    """What an untrusted task may not have, in words; empty when it is data."""
    if entry.yaml_path is None:
        return []
    try:
        config = _read(entry.yaml_path)
    except yaml.YAMLError as error:
        return [" ".join(str(error).split())]
    return list(_code_in(config, KEYS))


def in_memory(entry: Entry, *, trusted: bool) -> Entry:
    """The entry with its description read, its data files relative to the file that describes it.

    The harness itself would look for them in the working directory of the process.
    """
    if entry.yaml_path is None:
        return entry
    config = read_with_code(entry.yaml_path) if trusted else _read(entry.yaml_path)
    return with_config(entry, _rooted(config, entry.yaml_path.parent))


def _read(path: Path) -> dict[str, Any]:
    """As the harness does, but for tags, which are errors: included files first, the file's own keys win."""
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    included = config.pop("include", [])
    merged: dict[str, Any] = {}
    for name in [included] if isinstance(included, str) else included:
        merged |= {key: value for key, value in _read(path.parent / name).items() if key != "task_list"}
    return merged | config


def _code_in(config: Mapping[str, Any], allowed: frozenset[str]) -> Iterator[str]:
    yield from (f"the key {key!r}" for key in sorted(set(config) - allowed))
    yield from _code_in_data(config)
    for metric in config.get("metric_list") or []:
        if metric.get("metric") not in registered_metrics() or "hf_evaluate" in metric:
            yield f"the metric {metric.get('metric')!r}, which is not one of the harness itself"
    members = config.get("task")
    for member in members if isinstance(members, list) else []:
        if isinstance(member, dict):
            yield from _code_in(member, KEYS_OF_MEMBERS)


def _code_in_data(config: Mapping[str, Any]) -> Iterator[str]:
    path, reader = config.get("dataset_path"), config.get("dataset_kwargs") or {}
    if path is not None and path not in FORMATS and not ON_A_HUB.fullmatch(str(path)):
        yield f"data of the kind {path!r}"
    yield from (f"the key {key!r} in dataset_kwargs" for key in sorted(set(reader) - READER_KEYS))


def _rooted(value: Any, folder: Path) -> Any:  # noqa: ANN401 - whatever stands in YAML
    if isinstance(value, list):
        return [_rooted(item, folder) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _placed(item, folder) if key == "data_files" else _rooted(item, folder) for key, item in value.items()}


def _placed(files: Any, folder: Path) -> Any:  # noqa: ANN401
    """Paths of one file, of several, or of the files of each split."""
    if isinstance(files, str):
        return files if "://" in files else str(folder / files)
    if isinstance(files, list):
        return [_placed(file, folder) for file in files]
    return {split: _placed(file, folder) for split, file in files.items()}
