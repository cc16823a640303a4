"""For tests of plugins and of programs that embed a tuner: milliseconds, and no model.

Example::

    from lorasdk.testing import FakeEngine, check_plugin, fake_finetuner

    check_plugin(plugin, options={"crm": {"region": "north"}})  # raises, and says all that is wrong

    tuner = fake_finetuner(recipe, engine=FakeEngine(answers={"Is 4 even?": "yes"}), data={"train": rows})
    result = tuner.train(on_event=print)  # real rows, events, folders and errors; made-up losses and answers
"""

from lorasdk.testing.fake_engine import FakeEngine
from lorasdk.testing.fake_predictor import FakePredictor
from lorasdk.testing.fake_tuner import fake_finetuner
from lorasdk.testing.plugin_check import check_plugin

__all__ = ["FakeEngine", "FakePredictor", "check_plugin", "fake_finetuner"]
