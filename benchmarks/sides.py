"""Who is measured: each side computes the meta-gradient of a cell by its own means, from the same weights and batch."""

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from benchmarks.cells import LR, Cell
from metavox.algorithms.gradient import InnerLoop
from metavox.algorithms.maml import MAML
from metavox.algorithms.meta_sgd import MetaSGD
from metavox.algorithms.reptile import Reptile
from metavox.tasks.batch import Pairs, TaskBatch

Side = Callable[[], dict[str, Tensor]]
"""One meta-step: the meta-gradient by the name of the network's parameter."""


def metavox(cell: Cell, batch: TaskBatch, **options: Any) -> Side:
    """This package, by the options of its inner loop."""
    options = {"record": 0, **options}  # what training reaches after some steps is measured from the first
    inner = InnerLoop(lr=LR, steps=cell.steps, adapts=["head.*"] if cell.algorithm == "anil" else ["*"], **options)
    model = cell.network().to(batch.support.x.device)
    if cell.algorithm == "reptile":
        algorithm: Any = Reptile(model, inner)
    elif cell.algorithm == "meta_sgd":
        algorithm = MetaSGD(model, inner, alpha=None)
    else:
        algorithm = MAML(model, inner, "first" if cell.algorithm == "fomaml" else "second")
    algorithm.to(batch.support.x.device)

    def step() -> dict[str, Tensor]:
        algorithm.zero_grad()
        algorithm.outer_loss(batch)[0].backward()
        return {name: p.grad for name, p in model.named_parameters()}

    return step


def plain_vmap(cell: Cell, batch: TaskBatch) -> Side:
    """The textbook: torch.func's grad of the query loss after steps of grad, vmapped over tasks."""
    model = cell.network().to(batch.support.x.device)
    theta = {name: p.detach() for name, p in model.named_parameters()}
    names = [name for name in theta if cell.algorithm != "anil" or name.startswith("head.")]
    alpha = {name: torch.full_like(theta[name], LR) for name in names}

    def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return (functional_call(model, weights, (x,)) - y).square().mean()

    def adapted(theta: dict[str, Tensor], alpha: dict[str, Tensor], x: Tensor, y: Tensor) -> dict[str, Tensor]:
        fast = {name: theta[name] for name in names}
        for _ in range(cell.steps):
            grads = grad(lambda p: loss({**theta, **p}, x, y))(fast)
            if cell.algorithm == "fomaml":
                grads = {name: g.detach() for name, g in grads.items()}
            rates = alpha if cell.algorithm == "meta_sgd" else dict.fromkeys(names, LR)
            fast = {name: p - rates[name] * grads[name] for name, p in fast.items()}
        return {**theta, **fast}

    def outer(theta: dict[str, Tensor], alpha: dict[str, Tensor]) -> Tensor:
        def task(sx: Tensor, sy: Tensor, qx: Tensor, qy: Tensor) -> Tensor:
            return loss(adapted(theta, alpha, sx, sy), qx, qy)

        return vmap(task)(batch.support.x, batch.support.y, batch.query.x, batch.query.y).mean()

    def step() -> dict[str, Tensor]:
        if cell.algorithm == "reptile":
            x, y = (torch.cat(both, dim=1) for both in zip(batch.support[:2], batch.query[:2], strict=True))  # it pools
            after = vmap(lambda x, y: adapted(theta, alpha, x, y))(x, y)
            return {name: theta[name] - p.mean(0) for name, p in after.items()}
        if cell.algorithm == "meta_sgd":
            return grad(outer, argnums=(0, 1))(theta, alpha)[0]
        return grad(outer)(theta, alpha)

    return step


def learn2learn(cell: Cell, batch: TaskBatch) -> Side | None:
    """learn2learn's MAML (of the head alone for ANIL) and Meta-SGD, task by task; None where it is absent, for Reptile.

    As in its examples: clone, adapt to the support loss, backward of the query loss, gradients added up.
    """
    algorithms = published()
    if algorithms is None or cell.algorithm == "reptile":
        return None
    model = cell.network().to(batch.support.x.device)
    anil = cell.algorithm == "anil"
    maml, meta_sgd = algorithms
    if cell.algorithm == "meta_sgd":
        learner = meta_sgd(model, lr=LR)
    else:
        learner = maml(model.head if anil else model, lr=LR, first_order=cell.algorithm == "fomaml")

    def step() -> dict[str, Tensor]:
        model.zero_grad()
        for b in range(cell.tasks):
            clone = learner.clone()

            def loss(pairs: Pairs, clone: Any = clone, b: int = b) -> Tensor:
                x, y = pairs.x[b], pairs.y[b]
                y_hat = x + clone(model.features(x)) if anil else clone(x)
                return (y_hat - y).square().mean()

            for _ in range(cell.steps):
                clone.adapt(loss(batch.support))
            (loss(batch.query) / cell.tasks).backward()
        return {name: p.grad for name, p in model.named_parameters()}

    return step


def published() -> tuple[Any, Any] | None:
    """MAML and MetaSGD of learn2learn where it is on Python's path, installed or as a checkout of its repository.

    Only their own files are run, which need torch alone: the package imports compiled parts and libraries that build on
    no Python that metavox supports.
    """
    if "learn2learn" not in sys.modules:
        found = find_spec("learn2learn")
        if found is None or not found.submodule_search_locations:
            return None
        root = Path(next(iter(found.submodule_search_locations)))
        for name, folder in (("learn2learn", root), ("learn2learn.algorithms", root / "algorithms")):
            sys.modules[name] = ModuleType(name)
            sys.modules[name].__path__ = [str(folder)]
    return import_module("learn2learn.algorithms.maml").MAML, import_module("learn2learn.algorithms.meta_sgd").MetaSGD


def straight_line(cell: Cell, batch: TaskBatch) -> Side | None:
    """First-order MAML of the mlp by hand: torch's operations in a row, buffers made once, no autograd.

    What torch's operations can do at best on this machine: between it and the floor lies not the engine but memory.
    """
    if cell.algorithm != "fomaml" or cell.model != "mlp":
        return None
    model = cell.network().to(batch.support.x.device)
    p = [t.detach().expand(cell.tasks, *t.shape) for t in (model.body[0].weight, model.body[0].bias.unsqueeze(0))]
    q = [t.detach().expand(cell.tasks, *t.shape) for t in (model.head.weight, model.head.bias.unsqueeze(0))]
    theta = [*p, *q]
    fast, grads = [t.clone() for t in theta], [torch.empty_like(t.contiguous()) for t in theta]
    names = ["body.0.weight", "body.0.bias", "head.weight", "head.bias"]
    x = batch.support.x.squeeze(1)
    h, gh = (x.new_empty(cell.tasks, cell.frames, 256) for _ in range(2))
    e = torch.empty_like(x)

    def inner_loop(x: Tensor, y: Tensor) -> None:
        w1, b1, w2, b2 = fast
        torch.bmm(x, w1.mT, out=h).add_(b1).relu_()
        torch.bmm(h, w2.mT, out=e).add_(b2).add_(x).sub_(y).mul_(2 / y[0].numel())
        torch.bmm(e.mT, h, out=grads[2])
        torch.sum(e, 1, keepdim=True, out=grads[3])
        torch.bmm(e, w2, out=gh)
        torch.ops.aten.threshold_backward.grad_input(gh, h, 0, grad_input=gh)
        torch.bmm(gh.mT, x, out=grads[0])
        torch.sum(gh, 1, keepdim=True, out=grads[1])

    def step() -> dict[str, Tensor]:
        for now, t in zip(fast, theta, strict=True):
            now.copy_(t)
        for _ in range(cell.steps):
            inner_loop(x, batch.support.y.squeeze(1))
            for now, g in zip(fast, grads, strict=True):
                now.sub_(g, alpha=LR)
        inner_loop(batch.query.x.squeeze(1), batch.query.y.squeeze(1))
        means = [g.mean(0) for g in grads]
        return {n: m.squeeze(0) if n.endswith("bias") else m for n, m in zip(names, means, strict=True)}

    return step


SIDES: dict[str, Callable[[Cell, TaskBatch], Side | None]] = {
    "ours": metavox,
    "higher": lambda cell, batch: metavox(cell, batch, engine="higher"),
    "vmap": plain_vmap,
    "learn2learn": learn2learn,
    "straight": straight_line,
    "bfloat16": lambda cell, batch: metavox(cell, batch, bfloat16=True),
    "checkpoint": lambda cell, batch: metavox(cell, batch, checkpoint=True),
    "eager": lambda cell, batch: metavox(cell, batch, record=None),
    "compiled": lambda cell, batch: metavox(cell, batch, compile=True),
}
PEERS = ("higher", "vmap", "learn2learn")
