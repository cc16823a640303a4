"""Loads and unloads adapters of a server that runs, for whoever has an admin key; the addresses are vLLM's."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse
from pydantic import Field

from lorasdk.errors import AdapterError, InferenceError, Problem
from lorasdk.serving.body import read_body
from lorasdk.serving.reading import parsed
from lorasdk.serving.request_fields import Closed, Ignored
from lorasdk.serving.service import Service

Name = Annotated[str, Field(pattern=r"^\w[\w.:/@+-]{0,127}$")]


class LoadRequest(Closed):
    """Which adapter, under which name."""

    lora_name: Name
    lora_path: Annotated[str, Field(min_length=1, max_length=1000)]
    load_inplace: bool = False
    """Replace the adapter of this name."""


class UnloadRequest(Closed):
    """Which adapter."""

    lora_name: Name
    lora_int_id: Ignored = None


def admin_routes(service: Service) -> APIRouter:
    """The addresses, closed to everybody else."""
    router = APIRouter(dependencies=[Depends(partial(_require_admin, service))])

    @router.post("/v1/load_lora_adapter")
    async def load(request: Request) -> PlainTextResponse:
        order = parsed(LoadRequest, await read_body(request, service.options))
        await service.run(partial(_load, service, order))
        return PlainTextResponse(f"Success: LoRA adapter '{order.lora_name}' added successfully.")

    @router.post("/v1/unload_lora_adapter")
    async def unload(request: Request) -> PlainTextResponse:
        order = parsed(UnloadRequest, await read_body(request, service.options))
        await service.run(partial(service.tuner.adapters.unload, order.lora_name))
        return PlainTextResponse(f"Success: LoRA adapter '{order.lora_name}' removed successfully.")

    return router


async def _require_admin(service: Service, request: Request) -> None:
    service.admin_keys.require(request)


def _load(service: Service, order: LoadRequest) -> None:
    service.catalogue.require_free(order.lora_name)
    folder = _allowed(service.options.adapters_root, order.lora_path)
    try:
        service.tuner.adapters.load(order.lora_name, folder, replace=order.load_inplace)
    except AdapterError as error:
        # Where the server keeps its files is not told; what was asked for is.
        told = [Problem(p.code, p.message.replace(str(folder), order.lora_path), fix=p.fix) for p in error.problems]
        raise AdapterError(*told) from error


def _allowed(root: Path | None, path: str) -> Path:
    """The folder meant, if it is inside the root, links followed.

    Raises:
        InferenceError: it is not, or nothing may be loaded.
    """
    if root is None:
        message = "this server loads no adapters while it runs"
        raise InferenceError(Problem("serving.loading-off", message, fix="start it with a folder to load from"))
    home = root.resolve()
    folder = (home / path).resolve() if "\0" not in path else home
    if folder == home or not folder.is_relative_to(home):
        message = "the path leads out of the folder that adapters may be loaded from"
        raise InferenceError(Problem("serving.path-outside", message, field="lora_path", allowed="a folder inside it"))
    return folder
