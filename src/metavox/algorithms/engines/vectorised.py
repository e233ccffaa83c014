"""All tasks of a meta-batch in one set of batched operations."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call

from metavox.algorithms.engines.base import Graph, Optimizer, Rule, State, clipped
from metavox.algorithms.engines.optimizers import RULES
from metavox.algorithms.loss import masked_mse
from metavox.errors import ConfigError
from metavox.tasks.batch import Pairs


class Vectorised:
    """One forward pass for all tasks; gradients by autograd outside it, since the tasks are independent.

    The pass is vmap over tasks, or the model itself where its layers take a task axis (`MappingNetwork.batched`).
    """

    name = "vectorised"

    def forward(self, model: nn.Module, fast: State, x: Tensor) -> Tensor:
        """See `Engine.forward`."""
        if getattr(model, "batched", False):
            return functional_call(model, fast, (x,), tie_weights=False)
        _refuse(model)
        return torch.vmap(partial(functional_call, model), randomness="different")(fast, (x,))

    def descend(
        self,
        model: nn.Module,
        start: State,
        support: Callable[[int], Pairs],
        update: Rule | Optimizer,
        at: Sequence[int],
        graph: Graph,
        clip: float | None = None,
    ) -> list[State]:
        """See `Engine.descend`."""
        rule = _rule(update) if isinstance(update, Optimizer) else update
        state, found = start, {0: start}
        for step in range(max(at)):
            if graph == "detached":
                state = {name: p.detach().requires_grad_() for name, p in state.items()}
            pairs = support(step)
            losses = masked_mse(self.forward(model, state, pairs.x), pairs.y, pairs.mask)  # [B]
            grads = torch.autograd.grad(
                losses.sum(), list(state.values()), create_graph=graph == "second", materialize_grads=True
            )
            amounts = rule(step, state, clipped(dict(zip(state, grads, strict=True)), clip))
            state = {name: p - amounts[name] for name, p in state.items()}
            if step + 1 in at:
                found[step + 1] = state
        states = [found[step] for step in at]
        return states if graph != "detached" else [{n: p.detach() for n, p in s.items()} for s in states]


def _rule(optimizer: Optimizer) -> Rule:
    if optimizer.name not in RULES:
        raise ConfigError(
            f"The vectorised engine has no inner optimiser {optimizer.name!r}: use one of {', '.join(RULES)}, "
            "or engine=higher, which takes torch's."
        )
    return RULES[optimizer.name](optimizer.lr)


def _refuse(model: nn.Module) -> None:
    for name, layer in model.named_modules():
        running = isinstance(layer, nn.modules.batchnorm._NormBase) and layer.track_running_stats and layer.training
        if isinstance(layer, nn.RNNBase) or running:
            raise ConfigError(
                f"The vectorised engine cannot run {type(layer).__name__} ({name}): it has no batching rule for "
                "per-task weights or statistics. Use engine=higher."
            )
