"""All tasks of a meta-batch in one set of batched operations."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call

from metavox.algorithms.engines.acceleration.inner import FixedInputs, half_precision, recompute_in_backward
from metavox.algorithms.engines.base import PLAIN, FastWeights, GradientMode, Optimizer, Options, Rule, clip_gradient
from metavox.algorithms.engines.optimizers import RULES, STATELESS
from metavox.errors import ConfigError
from metavox.tasks.batch import Pairs

Update = Callable[[int, FastWeights, FastWeights], FastWeights]
"""(step, weights, their gradients) -> the weights after the step."""


class Vectorised:
    """One forward pass for all tasks; gradients by autograd outside it, since the tasks are independent.

    The pass is vmap over tasks, or the model itself where its layers take a task axis (`MappingNetwork.batched`).
    """

    name = "vectorised"

    def forward(self, model: nn.Module, fast: FastWeights, *inputs: Tensor) -> Tensor:
        """See `Engine.forward`; after x there may be its features."""
        if getattr(model, "batched", False):
            return functional_call(model, fast, inputs, tie_weights=False)
        _refuse(model)
        return torch.vmap(partial(functional_call, model), randomness="different")(fast, inputs)

    def inner_loop(
        self,
        model: nn.Module,
        start: FastWeights,
        support: Callable[[int], Pairs],
        update: Rule | Optimizer,
        steps: Sequence[int],
        mode: GradientMode,
        options: Options = PLAIN,
    ) -> list[FastWeights]:
        """See `Engine.inner_loop`."""
        second = mode == "second"
        move, fixed = _move(update, options), FixedInputs(model, start, second)
        fast, found = start, {0: start}
        for step in range(max(steps)):
            if mode == "detached":
                fast = {name: p.detach().requires_grad_() for name, p in fast.items()}
            pairs = support(step)
            inputs, weights = fixed(pairs)
            gradients = partial(self._gradients, model, inputs, pairs.y, weights, second, options)
            one_step = partial(_step, partial(move, step), gradients)
            fast = recompute_in_backward(one_step, fast) if options.checkpoint and second else one_step(fast)
            if step + 1 in steps:
                found[step + 1] = fast
        reached = [found[step] for step in steps]
        return reached if mode != "detached" else [{n: p.detach() for n, p in fast.items()} for fast in reached]

    def _gradients(
        self,
        model: nn.Module,
        inputs: tuple[Tensor, ...],
        y: Tensor,
        weights: Tensor,
        create_graph: bool,
        options: Options,
        fast: FastWeights,
    ) -> FastWeights:
        """The gradients of each task's loss by its fast weights. They need the loss's slope by y_hat, not its value."""
        with half_precision(y, options.bfloat16):
            y_hat = self.forward(model, fast, *inputs)
        with torch.set_grad_enabled(create_graph):
            slope = ((y_hat - y) * weights).to(y_hat.dtype)
            with half_precision(y, options.bfloat16):
                grads = torch.autograd.grad(
                    y_hat, list(fast.values()), slope, create_graph=create_graph, materialize_grads=True
                )
        return clip_gradient(dict(zip(fast, grads, strict=True)), options.clip)


def _move(update: Rule | Optimizer, options: Options) -> Update:
    """How a step moves the weights."""
    if isinstance(update, Optimizer):
        if update.name not in RULES:
            raise ConfigError(
                f"The vectorised engine has no inner optimiser {update.name!r}: use one of {', '.join(RULES)}, "
                "or engine=higher, which takes torch's."
            )
        if options.checkpoint and update.name not in STATELESS:
            raise ConfigError(
                f"The inner optimiser {update.name} remembers earlier steps, which inner.checkpoint computes anew: "
                "use sgd, or leave inner.checkpoint at false."
            )
        if update.name == "sgd":  # in one pass over the weights
            lr = update.lr
            return lambda step, fast, grads: {
                name: torch.addcmul(p, lr.to(p), grads[name], value=-1) for name, p in fast.items()
            }
        update = RULES[update.name](update.lr)
    rule = update

    def move(step: int, fast: FastWeights, grads: FastWeights) -> FastWeights:
        amounts = rule(step, fast, grads)
        return {name: p - amounts[name] for name, p in fast.items()}

    return move


def _step(
    move: Callable[[FastWeights, FastWeights], FastWeights],
    gradients: Callable[[FastWeights], FastWeights],
    fast: FastWeights,
) -> FastWeights:
    return move(fast, gradients(fast))


def _refuse(model: nn.Module) -> None:
    for name, layer in model.named_modules():
        running = isinstance(layer, nn.modules.batchnorm._NormBase) and layer.track_running_stats and layer.training
        if isinstance(layer, nn.RNNBase) or running:
            raise ConfigError(
                f"The vectorised engine cannot run {type(layer).__name__} ({name}): it has no batching rule for "
                "per-task weights or statistics. Use engine=higher."
            )
