"""Tells an MLflow tracking server about lorasdk's trainings.

Installed, it does so whenever ``MLFLOW_TRACKING_URI`` is set, and nothing otherwise. An application says more::

    from lorasdk import FineTuner
    from lorasdk_mlflow import MlflowObserver

    observer = MlflowObserver(tracking_uri="http://localhost:5000", experiment="support answers")
    tuner = FineTuner.from_recipe("recipe.yaml", plugins=[observer], blocked=["observer.mlflow"])

MLflow is never imported into this program: its client runs in a small process of its own for as long as a run lasts.
"""

from lorasdk_mlflow.installed import InstalledObserver
from lorasdk_mlflow.observer import MlflowObserver

__all__ = ["MlflowObserver", "plugin"]

plugin = InstalledObserver()
"""What the entry point ``observer.mlflow`` gives."""
