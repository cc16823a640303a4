"""WHO can help: hooks and the managers that collect what plugins offer. pluggy lives here and nowhere else."""

from lorasdk.plugins.manager import Manager, PluginChoice, Registry, build_manager
from lorasdk.plugins.specs import hookimpl

__all__ = ["Manager", "PluginChoice", "Registry", "build_manager", "hookimpl"]
