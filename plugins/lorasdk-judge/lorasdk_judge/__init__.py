"""A model as judge: the evaluator `llm_judge` for lorasdk.

In a recipe::

    evaluation:
      evaluators:
        - name: llm_judge
          model: gpt-5-mini
          base_url: https://api.openai.com/v1
          api_key: ${env:OPENAI_API_KEY}

Importing this package loads neither the ``openai`` client nor anything else that speaks to a network.
"""

from __future__ import annotations

from lorasdk import hookimpl
from lorasdk_judge.evaluator import LlmJudge
from lorasdk_judge.options import JudgeOptions

__all__ = ["JudgeOptions", "LlmJudge", "plugin"]


class JudgePlugin:
    """Offers the one evaluator of this package."""

    lorasdk_api = 1
    """Version of lorasdk's plugin interface that this package was written for."""

    @hookimpl
    def evaluators(self) -> list[LlmJudge]:
        """Give the evaluator `llm_judge`."""
        return [LlmJudge()]


plugin = JudgePlugin()
"""What the entry point ``evaluator.llm_judge`` names."""
