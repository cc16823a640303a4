"""Is a plugin cheap to import, and do its package's entry points say what it offers?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import entry_points

from lorasdk.plugins.discovery import OBSERVER, Entry, Kind
from lorasdk.plugins.specs import PROJECT
from lorasdk.testing.findings import Findings

HEAVY = ("torch", "transformers", "peft", "accelerate", "bitsandbytes", "datasets", "pandas", "sklearn", "scipy")
"""What takes a good part of a second to import."""
IMPORT_SECONDS = 120
WATCHED = f"""
import importlib, logging, os, random, sys, warnings
importlib.import_module("lorasdk.plugins")
def state():
    return dict(os.environ), os.getcwd(), random.getstate(), logging.root.level, list(logging.root.handlers)
before, known = state(), set(sys.modules)
importlib.import_module(sys.argv[1])
heavy = sorted(name for name in {HEAVY!r} if name in sys.modules and name not in known)
print("lorasdk-check:", ",".join(heavy), state() == before, file=sys.__stderr__)
"""


def check_import(module: str, findings: Findings) -> None:
    """Import an installed plugin's module in a new Python: it must neither be heavy nor leave traces."""
    done = subprocess.run(  # noqa: S603 - this Python, and a module that it has imported already
        [sys.executable, "-c", WATCHED, module],
        capture_output=True,
        text=True,
        timeout=IMPORT_SECONDS,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if line.startswith("lorasdk-check:")]
    if not said:
        findings.add(
            f"importing {module} in a new Python fails",
            found=done.stderr.strip().rpartition("\n")[2],
            fix="declare what it imports among the package's dependencies",
        )
        return
    heavy, clean = said[-1].removeprefix("lorasdk-check: ").rsplit(" ", 1)
    if heavy.strip():
        findings.add(
            f"importing {module} imports {heavy.strip()}",
            fix="import heavy libraries inside the functions that need them; whoever lists plugins imports yours",
        )
    if clean != "True" or done.stdout:
        findings.add(
            f"importing {module} changes or prints something",
            found=done.stdout[:80],
            fix="do nothing at import time: no prints, no environment variables, no logging configuration, no seeds",
        )


def entries_of(plugin: object) -> list[Entry]:
    """Entry points that lead to this very object; none if it is not installed."""
    return [Entry.of(point) for point in entry_points(group=PROJECT) if _leads_to(point.module, point.attr, plugin)]


def check_entries(
    entries: Sequence[Entry], offered: Mapping[Kind, Iterable[str]], *, observes: bool, findings: Findings
) -> None:
    """Compare what a package's entry points promise with what its plugin offers."""
    has = {f"{kind}.{name}" for kind, names in offered.items() for name in names}
    promised = {f"{entry.kind}.{entry.name}" for entry in entries if entry.kind not in {None, OBSERVER}}
    observer = any(entry.kind == OBSERVER for entry in entries)
    vague = [entry.name for entry in entries if entry.kind is None]
    for name in sorted(promised - has):
        findings.add(f"an entry point promises {name}, which it does not offer", fix="delete the entry point")
    for name in sorted(has - promised):
        findings.add(f"no entry point says that it offers {name}", fix=f'add "{name}" = "{entries[0].point.value}"')
    if observes and not observer:
        findings.add("no entry point says that it observes", fix=f'add "observer.NAME" = "{entries[0].point.value}"')
    if observer and not observes:
        findings.add("an entry point says that it observes, which it does not", fix="delete the entry point")
    for name in vague:
        findings.add(
            f"the entry point {name!r} does not say what it offers",
            allowed="loader.NAME, evaluator.NAME, source.NAME, observer.NAME",
            fix="name what it offers, so that it is imported when that is needed and not before",
        )


def _leads_to(module: str, attribute: str, plugin: object) -> bool:
    # Only in modules that are there: looking must not import other people's plugins.
    known = sys.modules.get(module)
    if known is None:
        return False
    return (vars(known).get(attribute) if attribute else known) is plugin
