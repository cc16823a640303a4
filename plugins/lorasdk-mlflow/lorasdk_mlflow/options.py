"""How and where runs are tracked: one closed model, whoever fills it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from lorasdk import PluginError, Problem

URI_VARIABLE = "MLFLOW_TRACKING_URI"
EXPERIMENT_VARIABLE = "MLFLOW_EXPERIMENT_NAME"


class TrackingOptions(BaseModel):
    """What `MlflowObserver` may be given."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    tracking_uri: SecretStr = Field(min_length=1)
    """The tracking server, such as ``http://localhost:5000``; secret, because it may hold a password."""
    experiment: str | None = Field(default=None, min_length=1)
    """Experiment that runs belong to, made when it does not exist; the recipe's name when not given."""
    run_name: str | None = Field(default=None, min_length=1)
    """Name that MLflow shows; the recipe's name and the run's folder when not given."""
    tags: Mapping[str, str] = Field(default_factory=dict)
    """Tags of your own, for each run."""
    log_adapter: bool = True
    """Whether the adapter's folder is uploaded."""
    flush_seconds: float = Field(default=60.0, gt=0)
    """Seconds that the end of a run waits for what is still to be sent; the rest is given up."""
    request_seconds: int = Field(default=10, gt=0)
    """Seconds that one request may wait for the server."""
    retries: int = Field(default=2, ge=0, le=10)
    """How often a request is repeated when the server cannot be reached or is too busy."""
    batch_seconds: float = Field(default=1.0, ge=0)
    """Seconds that metrics are collected before they are sent together."""
    pending_values: int = Field(default=10_000, gt=0)
    """Metrics that wait to be sent at most; beyond it new ones are dropped, counted and told."""

    @classmethod
    def of(cls, **options: object) -> Self:
        """Check what an application gave.

        Raises:
            PluginError: ``mlflow.bad-option``, with all that is wrong.
        """
        try:
            return cls.model_validate(options)
        except ValidationError as error:
            raise PluginError(*_problems(error)) from None  # pydantic's own text repeats the values

    @classmethod
    def of_application(cls, tracking_uri: str | None, **options: object) -> Self:
        """What an application gave, at the server that it or the environment names.

        Raises:
            PluginError: ``mlflow.bad-option``, or ``mlflow.no-server``.
        """
        uri = tracking_uri or os.environ.get(URI_VARIABLE, "").strip()
        if not uri:
            raise PluginError(_no_server())
        return cls.of(tracking_uri=uri, **options)

    @classmethod
    def of_environment(cls) -> Self | None:
        """What MLflow's own variables ask for; None when they name no server."""
        uri = os.environ.get(URI_VARIABLE, "").strip()
        experiment = os.environ.get(EXPERIMENT_VARIABLE, "").strip()
        return cls.of(tracking_uri=uri, experiment=experiment or None) if uri else None


def _no_server() -> Problem:
    # MLflow itself would begin a database in the working folder, which is the program's and not ours.
    return Problem(
        code="mlflow.no-server",
        message="no tracking server is named",
        place="MlflowObserver",
        field="tracking_uri",
        allowed="an address such as http://localhost:5000",
        fix=f"give tracking_uri=…, or set {URI_VARIABLE}",
    )


def _problems(error: ValidationError) -> list[Problem]:
    return [
        Problem(
            code="mlflow.bad-option",
            message=details["msg"],
            place="MlflowObserver",
            field=".".join(map(str, details["loc"])),
            allowed=", ".join(TrackingOptions.model_fields) if details["type"] == "extra_forbidden" else "",
        )
        for details in error.errors(include_url=False, include_input=False, include_context=False)
    ]
