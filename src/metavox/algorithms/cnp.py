"""Conditional neural process (Garnelo et al. 2018, arXiv 1807.01613)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from metavox.algorithms.base import Adapted, StepFree
from metavox.algorithms.context import SetEncoder, context_of
from metavox.models.base import Linear, MappingNetwork
from metavox.tasks.batch import Pairs, TaskBatch


class CNP(StepFree):
    """r = mean_S h(x, y);  (mu, sigma) = g(x*, r);  max log N(y*; mu, sigma), on query and support.

    mu is the network with r as its context input; sigma >= 0.1 comes from two layers of its own. No gradient step at
    test: every number of steps gives the same voice.
    """

    def __init__(
        self, model: MappingNetwork, context_inputs: int, hidden: int = 128, engine: str = "vectorised"
    ) -> None:
        super().__init__(model, engine=engine)
        context_of(model, context_inputs, "CNP").requires_grad_(False)
        dims = model.input_dim + model.output_dim
        self.encoder = SetEncoder(dims, context_inputs, hidden)
        self.spread = nn.Sequential(
            Linear(model.input_dim + context_inputs, hidden), nn.ReLU(), Linear(hidden, model.output_dim)
        )

    def fit(self, support: Pairs) -> Adapted:
        """r [B, C]"""
        return {"context": self.encode(support)}

    def encode(self, support: Pairs) -> Tensor:
        """r [B, C]"""
        return self.encoder([support.x, support.y], support.mask)

    def task_losses(self, batch: TaskBatch) -> Tensor:
        """[B]: negative log likelihood, mean over the frames and dimensions of query and support."""
        r = self.encode(batch.support)
        return self._surprise(r, batch.query) + self._surprise(r, batch.support)

    def _surprise(self, r: Tensor, pairs: Pairs) -> Tensor:
        mu = self.predict({"context": r}, pairs.x)
        inputs = torch.cat([pairs.x, r[:, None, None].expand(*pairs.x.shape[:-1], -1)], dim=-1)
        sigma = 0.1 + 0.9 * softplus(self.spread(inputs))
        nll = (0.5 * ((pairs.y - mu) / sigma).square() + sigma.log()).mean(-1)  # [B, K, T], without its constant
        return (nll * pairs.mask).sum((1, 2)) / pairs.mask.sum((1, 2))
