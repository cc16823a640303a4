"""What is asked of a push to a model hub, and what it gives: frozen, and light."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr


@dataclass(frozen=True)
class PushOrder:
    """One push that is wanted."""

    folder: Path
    """An artefact's, absolute."""
    repository: str
    """``ORG/NAME``."""
    token: SecretStr | None
    """None: what the hub's client finds in ``HF_TOKEN`` or from its login."""
    private: bool
    revision: str | None
    """A branch; it is made if needed. None is the repository's main one."""
    overwrite: bool
    endpoint: str | None
    """Another hub than the client's."""

    @property
    def command(self) -> str:
        """What does the same at a shell's prompt; the token stays in the environment."""
        options = [
            *(["--revision", self.revision] if self.revision else []),
            *([] if self.private else ["--public"]),
            *(["--overwrite"] if self.overwrite else []),
            *(["--endpoint", self.endpoint] if self.endpoint else []),
        ]
        return shlex.join(["lorasdk", "push", str(self.folder), self.repository, *options])


@dataclass(frozen=True, slots=True)
class PushResult:
    """An artefact that lies on a hub."""

    repository: str
    """``ORG/NAME``."""
    url: str
    """Its page."""
    revision: str
    """The branch."""
    commit: str
    """What the branch points to now: name it in ``base_model.revision`` or elsewhere to get exactly this."""
    files: tuple[str, ...]
    """What was pushed, all in one commit."""
    created: bool
    """Whether the repository was made for it."""
