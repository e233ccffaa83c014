"""The reference engine: one task after the other through the `higher` package."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import higher
import torch
from torch import Tensor, nn
from torch.func import functional_call

from metavox.algorithms.engines.base import PLAIN, FastWeights, GradientMode, Optimizer, Options, Rule, clip_gradient
from metavox.algorithms.engines.optimizers import BETAS
from metavox.algorithms.loss import masked_mse
from metavox.errors import ConfigError
from metavox.tasks.batch import Pairs

OPTIMIZERS: dict[str, tuple[Callable[..., torch.optim.Optimizer], dict[str, Any]]] = {
    "sgd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "adam": (torch.optim.Adam, {"betas": BETAS}),
    "adadelta": (torch.optim.Adadelta, {}),
    "adagrad": (torch.optim.Adagrad, {}),
    "adamax": (torch.optim.Adamax, {}),
    "asgd": (torch.optim.ASGD, {}),
    "rmsprop": (torch.optim.RMSprop, {}),
}


class Higher:
    """Any module, and any torch optimiser that `higher` can differentiate."""

    name = "higher"

    def forward(self, model: nn.Module, fast: FastWeights, x: Tensor) -> Tensor:
        """See `Engine.forward`."""
        return torch.stack([functional_call(model, task_weights(fast, b), (x[b],)) for b in range(len(x))])

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
        if options.checkpoint or options.bfloat16:
            raise ConfigError("inner.checkpoint and inner.bfloat16 are for engine=vectorised: leave them at false.")
        runs = []
        for b in range(len(support(0).x)):
            rows = partial(_row, support, b)
            runs.append(_one_task(model, task_weights(start, b), rows, update, steps, mode, options.clip))
        return [{name: torch.stack([run[i][name] for run in runs]) for name in start} for i in range(len(steps))]


def task_weights(fast: FastWeights, task: int) -> FastWeights:
    """The weights of one task, without the task axis."""
    return {name: p[task] for name, p in fast.items()}


def _row(support: Callable[[int], Pairs], task: int, step: int) -> Pairs:
    return Pairs(*(t[task : task + 1] for t in support(step)))


def _one_task(
    model: nn.Module,
    start: FastWeights,
    support: Callable[[int], Pairs],
    update: Rule | Optimizer,
    steps: Sequence[int],
    mode: GradientMode,
    clip: float | None,
) -> list[FastWeights]:
    own = dict(model.named_parameters())
    names = list(own)
    optimizer = _torch_optimizer(update, [own[name] for name in start])
    tracked = mode != "detached"
    with higher.innerloop_ctx(model, optimizer, copy_initial_weights=False, track_higher_grads=tracked) as (net, inner):
        first = start if tracked else {name: p.detach().requires_grad_() for name, p in start.items()}
        net.update_params([first.get(name, p) for name, p in zip(names, net.fast_params, strict=True)])
        found = {0: start}
        for step in range(max(steps)):
            weights = {name: p for name, p in zip(names, net.fast_params, strict=True) if name in start}
            pairs = support(step)
            loss = masked_mse(net(pairs.x[0]).unsqueeze(0), pairs.y, pairs.mask)[0]
            after = inner.step(loss, grad_callback=_callback(names, step, weights, update, mode, clip))
            if step + 1 in steps:
                found[step + 1] = {name: p for name, p in zip(names, after, strict=True) if name in start}
    reached = [found[step] for step in steps]
    return reached if tracked else [{name: p.detach() for name, p in fast.items()} for fast in reached]


def _callback(
    names: list[str], step: int, weights: FastWeights, update: Rule | Optimizer, mode: GradientMode, clip: float | None
) -> Callable[[Sequence[Tensor | None]], list[Tensor | None]]:
    """Clips, makes first order, and lets the rule turn the gradients into what the optimiser subtracts."""

    def callback(all_grads: Sequence[Tensor | None]) -> list[Tensor | None]:
        by_name = dict(zip(names, all_grads, strict=True))
        grads: FastWeights = {}
        for name, p in weights.items():
            g = by_name[name]
            grads[name] = (torch.zeros_like(p) if g is None else g).unsqueeze(0)
        if mode == "first":
            grads = {name: g.detach() for name, g in grads.items()}
        grads = clip_gradient(grads, clip)
        if not isinstance(update, Optimizer):
            grads = update(step, {name: p.unsqueeze(0) for name, p in weights.items()}, grads)
        return [grads[name].squeeze(0) if name in grads else None for name in names]

    return callback


def _torch_optimizer(update: Rule | Optimizer, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if not isinstance(update, Optimizer):
        return torch.optim.SGD(parameters, lr=1.0)
    name = update.name.lower()
    if name not in OPTIMIZERS:
        raise ConfigError(f"The higher engine has no inner optimiser {name!r}: use one of {', '.join(OPTIMIZERS)}.")
    kind, options = OPTIMIZERS[name]
    return kind(parameters, lr=float(update.lr), **options)
