"""Answers requests over HTTP, in OpenAI's protocol, for a program to mount or a command to run.

Example::

    from fastapi import FastAPI

    from lorasdk import FineTuner
    from lorasdk.serving import ServingOptions, close_app, create_app

    tuner = FineTuner.from_adapter("runs/teams")
    api = create_app(tuner, options=ServingOptions(api_keys=("a long random text",)))
    host = FastAPI()
    host.mount("/llm", api)  # clients: OpenAI(base_url="http://…/llm/v1")
    ...
    await close_app(api)  # when the program ends; as a program of its own, the app does it by itself

It needs the extra ``serve``; importing this module does not.
"""

from lorasdk.serving.opening import close_app, create_app
from lorasdk.serving.options import ServingOptions
from lorasdk.serving.servable import Servable

__all__ = ["Servable", "ServingOptions", "close_app", "create_app"]
