"""Tasks of lm-evaluation-harness as an evaluator of lorasdk.

Installed beside lorasdk, it is there for every recipe::

    evaluation:
      evaluators:
        - {name: lm_eval, tasks: [arc_easy], limit: 200}

An application that trusts the code of its own task folders hands over another one::

    FineTuner.from_recipe(recipe, plugins=[LmEvalPlugin(trust_task_code=True)])
"""

from lorasdk_lm_eval.plugin import LmEvalPlugin, plugin

__all__ = ["LmEvalPlugin", "plugin"]
