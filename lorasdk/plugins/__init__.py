"""WHO can help: hooks and the managers that collect what plugins offer. pluggy lives here and nowhere else."""

from lorasdk.plugins.discovery import PluginChoice
from lorasdk.plugins.functions import data_loader, evaluator
from lorasdk.plugins.inventory import Inventory, Listable, Listed
from lorasdk.plugins.manager import Manager, build_manager
from lorasdk.plugins.registry import Registry
from lorasdk.plugins.specs import API_VERSION, hookimpl

__all__ = [
    "API_VERSION",
    "Inventory",
    "Listable",
    "Listed",
    "Manager",
    "PluginChoice",
    "Registry",
    "build_manager",
    "data_loader",
    "evaluator",
    "hookimpl",
]
