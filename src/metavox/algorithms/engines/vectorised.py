"""All tasks of a meta-batch in one set of batched operations."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from metavox.algorithms.engines.base import PLAIN, GradientMode, Optimizer, Options, Rule, State, clip_gradient
from metavox.algorithms.engines.optimizers import RULES, STATELESS
from metavox.algorithms.loss import slope_weights
from metavox.errors import ConfigError
from metavox.models.base import MappingNetwork
from metavox.tasks.batch import Pairs

Update = Callable[[int, State, State], State]
"""(step, weights, their gradients) -> the weights after the step."""


class Vectorised:
    """One forward pass for all tasks; gradients by autograd outside it, since the tasks are independent.

    The pass is vmap over tasks, or the model itself where its layers take a task axis (`MappingNetwork.batched`).
    """

    name = "vectorised"

    def forward(self, model: nn.Module, fast: State, *inputs: Tensor) -> Tensor:
        """See `Engine.forward`; after x there may be its features."""
        if getattr(model, "batched", False):
            return functional_call(model, fast, inputs, tie_weights=False)
        _refuse(model)
        return torch.vmap(partial(functional_call, model), randomness="different")(fast, inputs)

    def inner_loop(
        self,
        model: nn.Module,
        start: State,
        support: Callable[[int], Pairs],
        update: Rule | Optimizer,
        at: Sequence[int],
        graph: GradientMode,
        options: Options = PLAIN,
    ) -> list[State]:
        """See `Engine.inner_loop`."""
        after = _after(update, options)
        known: Pairs | None = None
        state, found = start, {0: start}
        for step in range(max(at)):
            if graph == "detached":
                state = {name: p.detach().requires_grad_() for name, p in state.items()}
            pairs = support(step)
            if pairs is not known:
                known, weights = pairs, slope_weights(pairs)
                inputs = _inputs(model, start, pairs.x, graph == "second")
            gradients = partial(self._gradients, model, inputs, pairs.y, weights, graph == "second", options)
            stepped = partial(_stepped, partial(after, step), gradients)
            state = _recomputed(stepped, state) if options.checkpoint and graph == "second" else stepped(state)
            if step + 1 in at:
                found[step + 1] = state
        states = [found[step] for step in at]
        return states if graph != "detached" else [{n: p.detach() for n, p in s.items()} for s in states]

    def _gradients(
        self,
        model: nn.Module,
        inputs: tuple[Tensor, ...],
        y: Tensor,
        weights: Tensor,
        create_graph: bool,
        options: Options,
        state: State,
    ) -> State:
        """The gradients of each task's loss by its weights. Its value is not needed: only its slope by y_hat is."""
        low = torch.autocast(y.device.type, torch.bfloat16) if options.bfloat16 else nullcontext()
        with low:
            y_hat = self.forward(model, state, *inputs)
        with torch.set_grad_enabled(create_graph):
            slope = ((y_hat - y) * weights).to(y_hat.dtype)
            with low:
                grads = torch.autograd.grad(
                    y_hat, list(state.values()), slope, create_graph=create_graph, materialize_grads=True
                )
        return clip_gradient(dict(zip(state, grads, strict=True)), options.clip)


def _inputs(model: nn.Module, fast: State, x: Tensor, create_graph: bool) -> tuple[Tensor, ...]:
    """What every step on x is given: where the head alone adapts, features that no step needs to compute again."""
    if not getattr(model, "batched", False) or not all(name.startswith("head.") for name in fast):
        return (x,)
    assert isinstance(model, MappingNetwork)
    with torch.set_grad_enabled(create_graph):
        return x, model.features(x)


def _after(update: Rule | Optimizer, options: Options) -> Update:
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
            return lambda step, state, grads: {
                name: torch.addcmul(p, lr.to(p), grads[name], value=-1) for name, p in state.items()
            }
        update = RULES[update.name](update.lr)
    rule = update

    def after(step: int, state: State, grads: State) -> State:
        amounts = rule(step, state, grads)
        return {name: p - amounts[name] for name, p in state.items()}

    return after


def _stepped(after: Callable[[State, State], State], gradients: Callable[[State], State], state: State) -> State:
    return after(state, gradients(state))


def _recomputed(step: Callable[[State], State], state: State) -> State:
    """step(state), of which only the weights are kept: the backward pass computes the rest anew."""
    names = list(state)

    def flat(*values: Tensor) -> tuple[Tensor, ...]:
        after = step(dict(zip(names, values, strict=True)))
        return tuple(after[name] for name in names)

    values = checkpoint(flat, *state.values(), use_reentrant=False, preserve_rng_state=False)
    return dict(zip(names, values, strict=True))


def _refuse(model: nn.Module) -> None:
    for name, layer in model.named_modules():
        running = isinstance(layer, nn.modules.batchnorm._NormBase) and layer.track_running_stats and layer.training
        if isinstance(layer, nn.RNNBase) or running:
            raise ConfigError(
                f"The vectorised engine cannot run {type(layer).__name__} ({name}): it has no batching rule for "
                "per-task weights or statistics. Use engine=higher."
            )
