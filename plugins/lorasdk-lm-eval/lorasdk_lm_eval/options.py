"""What a recipe may say about `lm_eval`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict

Text = Annotated[str, Strict(), Field(min_length=1)]


class LmEvalOptions(BaseModel):
    """Options of `lm_eval`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    tasks: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Names of tasks, groups or tags."""
    limit: Annotated[int, Strict(), Field(ge=1)] | None = None
    """Documents of each task, from its first; all when left out."""
    num_fewshot: Annotated[int, Strict(), Field(ge=0)] | None = None
    """Solved documents that are shown before each question; as many as the task says when left out."""
    include_path: Text | None = None
    """Folder with tasks of your own, YAML files, relative to the recipe; of two tasks with one name yours is taken."""
    metric: Text | None = None
    """The task's metric that gives the scores; its first that can when left out."""
    answer_filter: Text | None = None
    """Which of the task's filters prepares the answers for the metric; its first when left out."""
    prompt: Literal["turns", "one_turn", "text"] = "turns"
    """`turns`: solved documents are earlier turns of the conversation; `one_turn`: they stand before the question in
    the user's only turn; `text`: as `one_turn`, and answers keep the white space before them, for recipes with
    `chat_template: none`."""
