"""WHAT SURVIVES: checkpoints written whole, verified, rotated, quarantined. It knows nothing of what they hold."""

from lorasdk.checkpoints.store import CheckpointStore
from lorasdk.checkpoints.verifying import Checkpoint

__all__ = ["Checkpoint", "CheckpointStore"]
