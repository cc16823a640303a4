"""Our own loaders, evaluators and model sources, offered through the same hooks as everybody's.

Each class sits in a file of its own; nothing heavy is imported until a component works.
"""

from __future__ import annotations

from lorasdk.builtin.choice import Choice
from lorasdk.builtin.contains import Contains
from lorasdk.builtin.exact_match import ExactMatch
from lorasdk.builtin.file_loader import FileLoader
from lorasdk.builtin.folder_source import FolderSource
from lorasdk.builtin.gguf_source import GgufSource
from lorasdk.builtin.hub_loader import HubLoader
from lorasdk.builtin.hub_source import HubSource
from lorasdk.builtin.json_fields import JsonFields
from lorasdk.builtin.package_source import PackageSource
from lorasdk.builtin.perplexity import Perplexity
from lorasdk.builtin.regex_match import Regex
from lorasdk.builtin.token_f1 import TokenF1
from lorasdk.contracts import DataLoader, Evaluator, ModelSource
from lorasdk.plugins.specs import hookimpl


@hookimpl
def data_loaders() -> list[DataLoader]:
    """Files and hub data sets."""
    return [FileLoader(), HubLoader()]


@hookimpl
def evaluators() -> list[Evaluator]:
    """Of answers: match as a whole or in part, by pattern, by field, by token. Without any: labels and perplexity."""
    return [ExactMatch(), Contains(), Regex(), JsonFields(), TokenF1(), Choice(), Perplexity()]


@hookimpl
def model_sources() -> list[ModelSource]:
    """Hub, folders, GGUF files, and files inside PyPI distributions."""
    return [HubSource(), FolderSource(), GgufSource(), PackageSource()]
