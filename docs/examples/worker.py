"""A worker that takes jobs from a folder, and puts a job away when its result is there.

    python worker.py jobs

A job is a recipe: jobs/NAME.json. A file jobs/NAME.cancel stops it. Any number of workers may share the folder.
"""

import sys
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from lorasdk import FineTuner, LorasdkError, StopToken, stop_on_signals

IDLE_SECONDS = 1.0


def work(jobs: Path) -> None:
    """Do jobs until SIGTERM or Ctrl-C."""
    with stop_on_signals() as leaving:
        while not leaving.stopped:
            for job in sorted(jobs.glob("*.json")):
                take(job, leaving)
            time.sleep(IDLE_SECONDS)


def take(job: Path, leaving: StopToken) -> None:
    """Do a job that no other worker has. A worker that is killed loses its lock, and the job is free again."""
    with suppress(Timeout), FileLock(job.with_suffix(".lock"), timeout=0):
        if job.exists() and not leaving.stopped:
            outcome = do(job, leaving)
            if outcome != "unfinished":
                put_away(job, outcome)


def do(job: Path, leaving: StopToken) -> str:
    """Train, or go on where the last worker stopped."""
    cancelled = job.with_suffix(".cancel")
    stop = StopToken(when=lambda: leaving.stopped or cancelled.exists())
    try:
        with FineTuner.from_recipe(job, overrides={"name": job.stem}) as tuner:
            result = tuner.train(resume="auto", stop=stop)
    except LorasdkError as error:
        job.with_suffix(".error").write_text(str(error), "utf-8")
        return "failed"
    if result.stopped == "requested":
        return "cancelled" if cancelled.exists() else "unfinished"
    return "done"


def put_away(job: Path, outcome: str) -> None:
    """Acknowledge a job: it is no longer in the folder of those to do."""
    (job.parent / outcome).mkdir(exist_ok=True)
    job.rename(job.parent / outcome / job.name)
    job.with_suffix(".cancel").unlink(missing_ok=True)


if __name__ == "__main__":
    work(Path(sys.argv[1]))
