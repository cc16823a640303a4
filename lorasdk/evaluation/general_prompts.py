"""General prompts that ship with the package: what a model could do before it was tuned, in English and Chinese.

Everyday questions, instructions, small reasoning, writing, code, translation and courtesy, written for this package.
No domain's terms and no labels, so that no task trains them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files

FILE = "general_prompts.json"
DIGITS = 12
"""Of the digest, that are shown."""


@dataclass(frozen=True, slots=True)
class GeneralPrompts:
    """A version of the prompts."""

    version: int
    """Counts up whenever a text changes: measures on other texts do not compare."""
    texts: tuple[str, ...]
    """What the user says, one turn each."""

    @property
    def identity(self) -> str:
        """Version and digest, such as ``1:0f3a…``, by which two reports know that they measured on the same prompts."""
        digest = hashlib.sha256(json.dumps(self.texts, ensure_ascii=False).encode()).hexdigest()
        return f"{self.version}:{digest[:DIGITS]}"


def general_prompts() -> GeneralPrompts:
    """The prompts of this release."""
    read = json.loads(files("lorasdk.evaluation").joinpath(FILE).read_text("utf-8"))
    return GeneralPrompts(read["version"], tuple(prompt["text"] for prompt in read["prompts"]))
