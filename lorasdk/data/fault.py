"""What converters say of a row that cannot become an example."""

from __future__ import annotations


class ConversationFaultError(Exception):
    """What is wrong with a row, apart from its place: a code, a sentence and what was found."""

    def __init__(self, code: str, message: str, *, found: str = "", allowed: str = "", fix: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.found, self.allowed, self.fix = code, message, found, allowed, fix
