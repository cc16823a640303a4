"""Puts the addresses together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lorasdk.errors import InferenceError, Problem
from lorasdk.serving.admin import admin_routes
from lorasdk.serving.endpoint import chat_endpoint, completion_endpoint
from lorasdk.serving.metrics import CONTENT_TYPE
from lorasdk.serving.options import ServingOptions
from lorasdk.serving.refusing import CLIENT_GONE, refusal, status_of, understood
from lorasdk.serving.servable import Servable
from lorasdk.serving.service import Service


def app_of(tuner: Servable, options: ServingOptions) -> FastAPI:
    """The app; nothing is loaded yet."""
    service = Service(tuner, options)
    app = FastAPI(
        title="lorasdk",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=partial(_lifespan, service),
        exception_handlers={HTTPException: _not_served},
    )
    app.state.service = service
    app.add_middleware(Refusing, service=service)
    app.add_route("/v1/chat/completions", chat_endpoint(service), methods=["POST"])  # type: ignore[arg-type]
    app.add_route("/v1/completions", completion_endpoint(service), methods=["POST"])  # type: ignore[arg-type]
    app.include_router(_models(service))
    app.include_router(_watching(service))
    if service.admin_keys.needed:
        app.include_router(admin_routes(service))
    return app


def service_of(app: FastAPI) -> Service:
    """What an app of `app_of` keeps between requests."""
    service = app.state.service
    assert isinstance(service, Service)
    return service


class Refusing:
    """Middleware that turns errors into responses; what has no name among ours is told to nobody but the log."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and answer for what fails."""
        begun = False

        async def listen(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, listen)
        except Exception as raised:  # noqa: BLE001 - the last place before the host's own
            error = understood(raised)
            if scope["type"] == "http" and not begun and status_of(error) != CLIENT_GONE:
                response = refusal(error, retry_after=self._service.retry_after(error))
                await response(scope, receive, send)


@asynccontextmanager
async def _lifespan(service: Service, _app: FastAPI) -> AsyncIterator[None]:
    """For an app that is run by itself; what is mounted goes without."""
    await service.start()
    yield
    await service.close(drain_seconds=0)


def _models(service: Service) -> APIRouter:
    async def require(request: Request) -> None:
        service.api_keys.require(request)

    router = APIRouter(prefix="/v1/models", dependencies=[Depends(require)])

    @router.get("")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": await service.run(service.catalogue.entries)}

    @router.get("/{model:path}")
    async def model(model: str) -> dict[str, Any]:
        return await service.run(partial(service.catalogue.entry, model))

    return router


def _watching(service: Service) -> APIRouter:
    router = APIRouter()

    @router.get("/healthz")
    async def healthz() -> JSONResponse:
        status = "closing" if service.closing else "ok"
        return JSONResponse({"status": status, "loaded": service.is_open}, 503 if service.closing else 200)

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        service.watch_keys.require(request)
        return Response(service.metrics.page(), media_type=CONTENT_TYPE)

    return router


async def _not_served(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        problem = Problem("serving.wrong-method", "this address is asked in another way")
    else:
        problem = Problem("serving.not-found", "there is nothing at this address")
    response = refusal(InferenceError(problem))
    response.headers.update(error.headers or {})
    return response
