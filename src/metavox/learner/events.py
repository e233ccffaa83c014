"""TensorBoard's events of a training."""

from collections.abc import Mapping

from pytorch_lightning.loggers import TensorBoardLogger


class Events(TensorBoardLogger):
    """Lightning's logger without its chart `epoch`, on which TensorBoard would open: steps say the same."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        super().log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)
