"""Prototypical networks (Snell et al. 2017, arXiv 1703.05175), as regression conditioned on a speaker's prototype."""

import torch
from torch import Tensor, nn

from metavox.algorithms.base import Adapted, StepFree
from metavox.algorithms.context import SetEncoder, context_of
from metavox.models.base import MappingNetwork
from metavox.tasks.batch import Pairs, TaskBatch


class ProtoNet(StepFree):
    """c_i = mean_{S_i} e(x, y);  y_hat = f_theta(x, c_i);  L = MSE - w log softmax_i(-|e(q) - c_i|^2).

    The prototype of a task is the context input of the network. `separation` w > 0 adds the prototypical loss: the mean
    code of a task's query set should be nearest to its own prototype among the tasks of the meta-batch.
    """

    def __init__(
        self,
        model: MappingNetwork,
        context_inputs: int,
        hidden: int = 128,
        separation: float = 0.0,
        engine: str = "vectorised",
    ) -> None:
        super().__init__(model, engine=engine)
        context_of(model, context_inputs, "ProtoNet").requires_grad_(False)
        self.encoder = SetEncoder(model.input_dim + model.output_dim, context_inputs, hidden)
        self.separation = separation

    def fit(self, support: Pairs) -> Adapted:
        """The prototype [B, C]."""
        return {"context": self.prototype(support)}

    def prototype(self, pairs: Pairs) -> Tensor:
        """[B, C]"""
        return self.encoder([pairs.x, pairs.y], pairs.mask)

    def task_losses(self, batch: TaskBatch) -> Tensor:
        """[B]: query error plus the weighted prototypical loss."""
        c = self.prototype(batch.support)
        losses = self.losses({"context": c}, batch.query)
        if self.separation == 0:
            return losses
        distances = torch.cdist(self.prototype(batch.query), c).square()  # [B, B]
        own = torch.arange(len(c), device=c.device)
        return losses + self.separation * nn.functional.cross_entropy(-distances, own, reduction="none")
