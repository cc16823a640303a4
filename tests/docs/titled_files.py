"""A page of the documentation that is worked through: a block with a title is a file, a text block is what is seen."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from one_job import DOCS
from ruamel.yaml import YAML

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Tutorial:
    """A page of docs/tutorials."""

    text: str

    @classmethod
    def named(cls, name: str) -> "Tutorial":
        return cls((DOCS / "tutorials" / name).read_text("utf-8"))

    def blocks(self, *languages: str) -> list[tuple[str, str]]:
        """Language and text of the blocks that are no files, in order."""
        return [(kind, code) for kind, title, code in BLOCK.findall(self.text) if kind in languages and not title]

    def pieces(self, title: str) -> list[str]:
        return [code for _, found, code in BLOCK.findall(self.text) if found == title]

    def write_files(self, folder: Path, *, model_dir: Path, **training: object) -> None:
        """Write the files of the page; recipes get the tiny model in place of the embedded one, and `training`."""
        for language, title, code in BLOCK.findall(self.text):
            if title and language == "yaml":
                recipe = YAML(typ="safe").load(code)
                recipe["base_model"] = {"source": str(model_dir), "dtype": "float32"}
                recipe["training"].update(training)
                (folder / title).write_text(json.dumps(recipe), "utf-8")
            elif title and not title.startswith("from "):
                (folder / title).write_text(code, "utf-8")
