"""Lightning's checkpoints, written like all other files: complete or absent, and one sentence when the disk is full."""

from typing import Any

from pytorch_lightning.plugins.io import TorchCheckpointIO

from metavox.synthesis.voice import save_plain


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's own goes through the system's folder for temporary files: where that is another disk, a kill while it
    is copied leaves half a checkpoint, from which no run can go on."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Raises MetavoxError when `path` cannot be written."""
        save_plain(path, checkpoint)
