"""The edge: `lorasdk` on a command line. typer, rich and exit codes live here and nowhere else."""

from lorasdk.cli.app import main

__all__ = ["main"]
