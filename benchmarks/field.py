"""Who takes part, and what each needs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).parent / "contestants"
TORCH = "torch==2.13.0"
"""Installed first, so that nothing pulls in another build."""


@dataclass(frozen=True)
class Contestant:
    """A tool at certain settings."""

    name: str
    title: str
    script: str
    variant: str = ""
    environment: str = ""
    """Name of its virtual environment; that of this process when empty."""
    requirements: tuple[str, ...] = ()


TRAINER = ("transformers==5.23.0", "peft==0.21.2", "accelerate==1.15.0", "datasets==5.2.0")
TRL = ("trl==1.16.0", "peft==0.21.2")
LLAMAFACTORY = ("llamafactory==0.9.5",)
CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant("ours", "lorasdk", "ours.py"),
        Contestant("ours-padded", "lorasdk without packs", "ours.py", "padded"),
        Contestant("tutorial", "the tutorial's script (Trainer, fp32)", "trainer.py", "tutorial", "trainer", TRAINER),
        Contestant("trainer-bf16", "Trainer + PEFT in bf16", "trainer.py", "bf16", "trainer", TRAINER),
        Contestant(
            "trl-default", "TRL at its defaults", "trl_sft.py", "default", "trl", ("trl==1.16.0", "peft==0.21.2")
        ),
        Contestant("trl-best", "TRL, packed, bf16", "trl_sft.py", "best", "trl", TRL),
        Contestant(
            "llamafactory",
            "LLaMA-Factory, packed, bf16",
            "llamafactory_sft.py",
            "",
            "llamafactory",
            LLAMAFACTORY,
        ),
        Contestant("litgpt", "litgpt, bf16", "litgpt_lora.py", "", "litgpt", ("litgpt==0.5.13", "requests")),
    )
}


def interpreter(contestant: Contestant, work_dir: Path) -> Path:
    """The Python that runs the contestant, its environment made if it is not there.

    Raises:
        subprocess.CalledProcessError: it cannot be installed.
    """
    if not contestant.environment:
        return Path(sys.executable)
    folder = work_dir / "environments" / contestant.environment
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        for packages in ((TORCH,), (TORCH, *contestant.requirements)):
            subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
        if contestant.environment == "llamafactory":
            # Comes in with it and fits another torch release only: importing it would fail.
            subprocess.run([python, "-m", "pip", "uninstall", "-q", "-y", "torchvision", "torchaudio"], check=True)
        ready.touch()
    return python
