"""The one interface of every algorithm, baselines included."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from metavox.tasks.batch import Pairs, TaskBatch

Adapted = Mapping[str, Tensor]
"""What adaptation found, by name, each [B, ...]: the fast weights it changed and nothing else."""


class MetaAlgorithm(nn.Module):
    """Owns the mapping network and its own meta-parameters; knows nothing of speech.

    `steps` is the default number of inner steps at test time; `needs_training` is False where there is no outer loop.
    """

    needs_training = True
    steps: int = 0

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def curve(self, support: Pairs, at: Sequence[int], lr: float | None = None) -> list[Adapted]:
        """The adapted state after each number of steps in `at` (ascending), in one pass, detached from the graph.

        All tasks of the batch are adapted at once. `lr` replaces the inner learning rate.
        """
        raise NotImplementedError

    def adapt(self, support: Pairs, steps: int | None = None, lr: float | None = None) -> Adapted:
        """The adapted state after `steps` inner steps (default: `self.steps`)."""
        return self.curve(support, [self.steps if steps is None else steps], lr)[0]

    def predict(self, adapted: Adapted, x: Tensor) -> Tensor:
        """x [B, K, T, Dx] -> y_hat [B, K, T, Dy] by the adapted network."""
        raise NotImplementedError

    def outer_loss(self, batch: TaskBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """A scalar whose gradient is the algorithm's meta-gradient, and plain numbers to log."""
        raise NotImplementedError
