"""Training that ends when validation does not improve any more."""

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping


class Stop(EarlyStopping):
    """Lightning's, which would train for more epochs when a run that was to stop is gone on with."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops again where the checkpoint was of a training that had stopped."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True
