"""Writes a new plugin package from the templates in ``plugin_template/``."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

from lorasdk.errors import PluginError, Problem, ResourceError
from lorasdk.plugins import Listable

if TYPE_CHECKING:
    from jinja2 import Environment

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 20
"""Characters of a name; with more, lines of the package's files would become too long."""

DESCRIPTIONS: dict[Listable, str] = {
    "loader": "A data loader for lorasdk: questions and answers from a text file.",
    "evaluator": "An evaluator for lorasdk: which share of the reference's words an answer has.",
    "source": "A model source for lorasdk: base models in a folder that a repository's recipes share.",
    "observer": "An observer for lorasdk: trainings in the log.",
}


@dataclass(frozen=True, slots=True)
class PluginPackage:
    """Names of a package that is to be written."""

    name: str
    """What a recipe calls its component."""
    kind: Listable
    """What it offers."""

    @classmethod
    def called(cls, name: str, kind: Listable) -> PluginPackage:
        """Make names out of what somebody typed; the prefix of distributions may be there already.

        Raises:
            PluginError: a distribution or a module could not be called so.
        """
        short = name.lower().removeprefix("lorasdk-")
        if len(short) <= LONGEST and NAME.fullmatch(short):
            return cls(short, kind)
        raise PluginError(
            Problem(
                code="plugin.bad-package-name",
                message="a package cannot be called so",
                field="NAME",
                found=repr(name),
                allowed=f"letters, digits and single -, a letter first, at most {LONGEST} characters",
                fix=f"try {_near(short)!r}",
            )
        )

    @property
    def distribution(self) -> str:
        """What pip calls it."""
        return f"lorasdk-{self.name}"

    @property
    def identifier(self) -> str:
        """The name as Python writes it."""
        return self.name.replace("-", "_")

    @property
    def files(self) -> dict[str, str]:
        """Its files, and the templates they are made of."""
        module = f"lorasdk_{self.identifier}"
        return {
            "pyproject.toml": "pyproject.toml.jinja",
            "README.md": "README.md.jinja",
            ".gitignore": "gitignore.jinja",
            f"{module}/__init__.py": f"{self.kind}/__init__.py.jinja",
            f"{module}/{self.kind}.py": f"{self.kind}/component.py.jinja",
            f"{module}/py.typed": "py.typed.jinja",
            f"tests/test_{self.identifier}.py": f"{self.kind}/test.py.jinja",
        }

    @property
    def words(self) -> dict[str, str]:
        """What the templates leave open."""
        return {
            "name": self.name,
            "kind": self.kind,
            "distribution": self.distribution,
            "module": f"lorasdk_{self.identifier}",
            "title": "".join(part.capitalize() for part in self.name.split("-")),
            "description": DESCRIPTIONS[self.kind],
            "minor": _minor(),
        }


def write_package(package: PluginPackage, parent: Path) -> Path:
    """Write the package into a new folder in `parent`; gives the folder.

    Raises:
        PluginError: there is something of that name.
        ResourceError: the disk refuses; nothing of the package is left.
    """
    folder = parent / package.distribution
    texts = dict(_texts(package))
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise PluginError(_exists(folder)) from error
    except OSError as error:
        raise ResourceError(_refused(folder, error)) from error
    try:
        for name, text in texts.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ResourceError(_refused(folder, error)) from error
    return folder


def _texts(package: PluginPackage) -> Iterator[tuple[str, str]]:
    templates = _templates()
    for name, template in package.files.items():
        yield name, templates.get_template(template).render(package.words)


def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("lorasdk.cli", "plugin_template")
    return Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701 - no HTML


def _minor() -> str:
    installed = Version(version("lorasdk"))
    return f"{installed.major}.{installed.minor}"


def _near(name: str) -> str:
    words = re.findall(r"[a-z0-9]+", name.lstrip("0123456789"))
    return "-".join(words)[:LONGEST].strip("-0123456789") or "my-rows"


def _exists(folder: Path) -> Problem:
    return Problem(
        code="plugin.folder-exists",
        message="there is something of this name, and nothing is overwritten",
        place=str(folder),
        fix="choose another name, or another place with --folder",
    )


def _refused(folder: Path, error: OSError) -> Problem:
    return Problem(
        code="plugin.disk",
        message=f"the package could not be written: {error}",
        place=str(folder),
        fix="choose a place that can be written to, with --folder",
    )
