"""A web service that trains adapters on the rows it is sent, each training in a process of its own.

    uvicorn service:app --timeout-graceful-shutdown 5

A training's folder says all there is to know about it, so a new server goes on where the last was stopped or killed.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI, HTTPException
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

from lorasdk import Event, FineTuner, LorasdkError, Run, RunFinished, RunStarted, RunStopped, StepFinished, read_events

RECIPE, TRAININGS, AT_ONCE = Path("recipe.yaml"), Path("trainings"), 2


class Row(BaseModel):
    prompt: str
    completion: str


class Order(BaseModel):
    rows: Annotated[list[Row], Field(min_length=1)]


class Progress(BaseModel):
    id: UUID
    status: str
    step: int = 0
    loss: float | None = None
    seconds_left: float | None = None
    error: str | None = None


@dataclass
class Live:
    run: Run
    progress: Progress


running: dict[UUID, Live] = {}
followers: set[asyncio.Task[None]] = set()


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield
    for live in running.values():
        live.run.stop()
    await asyncio.gather(*followers)


app = FastAPI(lifespan=lifespan)


def folder_of(training: UUID) -> Path:
    return TRAININGS.absolute() / str(training)


def known(training: UUID) -> UUID:
    if not folder_of(training).is_dir():
        raise HTTPException(404, "no such training")
    return training


Known = Annotated[UUID, Depends(known)]


# Functions that change something are async and do not wait, so that no other request comes between look and leap.


@app.post("/trainings", status_code=202)
async def start(order: Order) -> Progress:
    training = uuid4()
    require_room()
    folder_of(training).mkdir(parents=True)
    lines = (json.dumps(row.model_dump()) for row in order.rows)
    (folder_of(training) / "rows.jsonl").write_text("\n".join(lines), "utf-8")
    return begin(training)


@app.post("/trainings/{training}/resume", status_code=202)
async def resume(training: Known) -> Progress:
    status = progress_of(training).status
    if status in {"running", "stopping", "finished"}:
        raise HTTPException(409, f"the training is {status}")
    require_room()
    return begin(training)


@app.delete("/trainings/{training}", status_code=202)
async def stop(training: Known) -> Progress:
    if training not in running:
        raise HTTPException(409, "the training is not running")
    running[training].run.stop()
    return progress_of(training)


@app.get("/trainings/{training}")
async def progress(training: Known) -> Progress:
    return progress_of(training)


@app.get("/trainings/{training}/events", response_class=EventSourceResponse)
async def events(training: Known) -> AsyncIterator[ServerSentEvent]:
    if training in running:
        async for event in running[training].run.events():
            yield ServerSentEvent(event=type(event).__name__, data=event)
    else:
        for event in kept_events(training):
            yield ServerSentEvent(event=type(event).__name__, data=event)


def require_room() -> None:
    if len(running) >= AT_ONCE:
        raise HTTPException(429, f"{AT_ONCE} trainings are running already", {"Retry-After": "60"})


def begin(training: UUID) -> Progress:
    """Begin a training, or go on with one that was begun: the folder tells."""
    folder = folder_of(training)
    (folder / "error.txt").unlink(missing_ok=True)
    overrides = {"data.train": str(folder / "rows.jsonl"), "output_dir": str(folder)}
    tuner = FineTuner.from_recipe(RECIPE, overrides=overrides)
    run = tuner.start(isolation="process", resume="auto")
    running[training] = Live(run, kept_progress(training))
    follower = asyncio.create_task(follow(training, running[training]))
    followers.add(follower)
    follower.add_done_callback(followers.discard)
    return progress_of(training)


async def follow(training: UUID, live: Live) -> None:
    """Hear a run to its end, then let go of it."""
    try:
        async for event in live.run.events():
            note(live.progress, event)
        live.run.result()
    except LorasdkError as error:
        (folder_of(training) / "error.txt").write_text(str(error), "utf-8")
    finally:
        del running[training]


def progress_of(training: UUID) -> Progress:
    live = running.get(training)
    return live.progress.model_copy(update={"status": live.run.status}) if live else kept_progress(training)


def kept_events(training: UUID) -> Iterator[Event]:
    for file in folder_of(training).glob("*/run-*/events.jsonl"):
        yield from read_events(file)


def kept_progress(training: UUID) -> Progress:
    """What the folder tells of a training; one that was killed could not say how it ended."""
    progress = Progress(id=training, status="interrupted")
    for event in kept_events(training):
        note(progress, event)
    error = folder_of(training) / "error.txt"
    if error.is_file():
        progress.status, progress.error = "failed", error.read_text("utf-8")
    return progress.model_copy(update={"seconds_left": None})


def note(progress: Progress, event: Event) -> None:
    match event:
        case RunStarted():
            progress.status = "interrupted"
        case StepFinished():
            progress.step, progress.loss, progress.seconds_left = event.step, event.loss, event.seconds_left
        case RunStopped(reason="requested"):
            progress.status = "stopped"
        case RunFinished() if progress.status != "stopped":
            progress.status = "finished"
