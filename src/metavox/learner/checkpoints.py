"""What a run keeps of its training: the best epoch and the last one, each file complete or absent."""

import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.trainer.states import TrainerFn

from metavox.errors import ConfigError
from metavox.synthesis.sealed import load_sealed, save_plain


class BestAndLast(Checkpoint):
    """Keeps best.ckpt, of the validation with the lowest `monitor` (the highest with mode "max"), and last.ckpt, of the
    last epoch or of the last validation within one, in the folder `dirpath`.

    Unlike Lightning's ModelCheckpoint, which writes last.ckpt only together with a better best.ckpt, and forgets the
    score to beat when the folder has another path. Raises ConfigError for another `mode`, and for a `monitor` that
    validation does not have.
    """

    def __init__(self, monitor: str = "val/loss", mode: str = "min", dirpath: str | None = None) -> None:
        if mode not in ("min", "max"):
            raise ConfigError(f"callbacks.checkpoint.mode is {mode}; it can be min or max")
        self.monitor, self.sign, self.dirpath = monitor, 1.0 if mode == "min" else -1.0, dirpath
        self.best: float | None = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        if self.monitor not in trainer.callback_metrics:
            known = sorted(key for key in trainer.callback_metrics if key.startswith("val/"))
            raise ConfigError(
                f"callbacks.checkpoint.monitor is {self.monitor}, which validation does not have; "
                f"there are {', '.join(known)}"
            )
        value = self.sign * float(trainer.callback_metrics[self.monitor])
        value = math.inf if math.isnan(value) else value
        if trainer.strategy.reduce_boolean_decision(self.best is None or value < self.best):
            self.best = value
            self._save(trainer, "best.ckpt")
        if trainer.val_check_interval != 1.0:  # a validation within an epoch
            self._save(trainer, "last.ckpt")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._save(trainer, "last.ckpt")

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        trainer.save_checkpoint(Path(self.dirpath or trainer.default_root_dir) / name)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's own goes through the system's folder for temporary files: where that is another disk, a kill while it
    is copied leaves half a checkpoint, from which no run can go on."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:
        """Raises MetavoxError when `path` cannot be written."""
        save_plain(path, checkpoint)

    def load_checkpoint(
        self, path: str | Path, map_location: object = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Without executing code. Raises MetavoxError for a file that is damaged."""
        return load_sealed(path, "a checkpoint of train.py")
