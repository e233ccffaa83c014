"""Meta-gradients against closed forms, against their Taylor expansions, and against each other. No data."""

import mmap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from metavox.algorithms.baselines import Joint
from metavox.algorithms.engines.vectorised import Vectorised
from metavox.algorithms.gradient import InnerLoop
from metavox.algorithms.imaml import IMAML, conjugate_gradients
from metavox.algorithms.loss import masked_mse
from metavox.algorithms.maml import MAML
from metavox.algorithms.meta_sgd import MetaSGD
from metavox.algorithms.reptile import Reptile, pool
from metavox.models.mlp import MLP
from metavox.tasks.batch import Pairs, TaskBatch
from metavox.tasks.sinusoid import SinusoidTasks
from roster import TRAINED, batch, build, meta_gradient, pairs

DOUBLE = torch.float64


# --- closed forms on quadratics: f(x) = w.x, L(w) = (w - c)' H (w - c) / 2 + const with H = 2 X'X / N


def quadratic(seed: int) -> tuple[Pairs, Tensor, Tensor]:
    """Pairs [1, 6, 1, 4] -> [1, 6, 1, 1], their Hessian H [4, 4] and minimum c [4]."""
    g = torch.Generator().manual_seed(seed)
    x, y = torch.randn(6, 4, generator=g, dtype=DOUBLE), torch.randn(6, 1, generator=g, dtype=DOUBLE)
    h = 2 * x.T @ x / 6
    c = torch.linalg.solve(h, 2 * x.T @ y / 6)[:, 0]
    return Pairs(x[None, :, None], y[None, :, None], torch.ones(1, 6, 1, dtype=torch.bool)), h, c


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 1, bias=False).double()


@pytest.mark.parametrize("order", ["second", "first"])
@pytest.mark.parametrize("engine", ["vectorised", "higher"])
def test_maml_on_quadratics(engine: str, order: str) -> None:
    """p_k = c + (I - a H)^k (w - c);  d L_Q(p_k) / dw = (I - a H)^k H_Q (p_k - c_Q), first order without the power."""
    (support, h, c), (query, h_query, c_query) = quadratic(1), quadratic(2)
    model, steps = linear(), 3
    algorithm = MAML(model, InnerLoop(lr=0.125, steps=steps, engine=engine), order).double()
    w = model.weight.detach()[0]
    power = torch.linalg.matrix_power(torch.eye(4, dtype=DOUBLE) - 0.125 * h, steps)
    p = c + power @ (w - c)
    torch.testing.assert_close(algorithm.adapt(support)["weight"][0, 0], p, rtol=1e-12, atol=1e-12)
    slope = h_query @ (p - c_query)
    expected = power @ slope if order == "second" else slope
    torch.testing.assert_close(meta_gradient(algorithm, TaskBatch(support, query)), expected, rtol=1e-10, atol=1e-12)


def test_imaml_on_quadratics() -> None:
    """p* = (H + lam I)^-1 (H c + lam w) and dp*/dw = (I + H / lam)^-1, exactly."""
    (support, h, c), (query, h_query, c_query) = quadratic(1), quadratic(2)
    model, eye = linear(), torch.eye(4, dtype=DOUBLE)
    algorithm = IMAML(model, InnerLoop(lr=0.1, steps=400), strength=1.5, iterations=6).double()
    w = model.weight.detach()[0]
    p = torch.linalg.solve(h + 1.5 * eye, h @ c + 1.5 * w)
    torch.testing.assert_close(algorithm.adapt(support)["weight"][0, 0], p, rtol=1e-10, atol=1e-10)
    expected = torch.linalg.solve(eye + h / 1.5, h_query @ (p - c_query))
    torch.testing.assert_close(meta_gradient(algorithm, TaskBatch(support, query)), expected, rtol=1e-8, atol=1e-9)


def test_imaml_with_weights_that_do_not_adapt() -> None:
    """At the inner optimum, the implicit gradient equals that of unrolling the same inner loop to its end."""
    tasks = batch(dtype=DOUBLE)
    implicit = build("imaml", "algorithm.inner.adapts=[head.*]", "algorithm.inner.steps=300",
                     "algorithm.iterations=60", "algorithm.strength=1.0").double()  # fmt: skip
    gradient = meta_gradient(implicit, tasks)
    start = implicit.start(2)
    states = implicit.engine.inner_loop(
        implicit.model, start, lambda step: tasks.support, implicit.update(None), [300], "second"
    )
    implicit.zero_grad()
    implicit.losses(states[0], tasks.query).mean().backward()
    unrolled = torch.cat([p.grad.flatten() for p in implicit.parameters() if p.grad is not None])
    assert ((gradient - unrolled).norm() / unrolled.norm()).item() < 1e-8


# --- Taylor expansions (Nichol et al. 2018, Eqs. 25-41): the residual falls 4 times when the inner rate halves


def expansion(algorithm: str, model: nn.Module, parts: list[Pairs], rate: float) -> Tensor:
    """The meta-gradient to first order in the rate, from gradients g_i and Hessians H_i at the initial point."""
    theta = list(model.parameters())

    def slope(pairs: Pairs) -> Tensor:
        loss = masked_mse(model(pairs.x[0])[None], pairs.y, pairs.mask)[0]
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, theta, create_graph=True)])

    def product(g: Tensor, v: Tensor) -> Tensor:  # H v
        return torch.cat([h.flatten() for h in torch.autograd.grad(g, theta, v, retain_graph=True)])

    g = [slope(p) for p in parts]
    d = [v.detach() for v in g]
    k = len(parts) - 1
    before = [sum(d[:i], torch.zeros_like(d[0])) for i in range(k + 1)]
    if algorithm == "reptile":
        return sum(d, torch.zeros_like(d[0])) - rate * sum(product(g[i], before[i]) for i in range(k + 1))
    first = d[k] - rate * product(g[k], before[k])
    return first if algorithm == "fomaml" else first - rate * sum(product(g[j], d[k]) for j in range(k))


def taylor_ratios(algorithm: str) -> list[float]:
    """How many times the residual falls at each of three halvings of the inner rate; k = 3 distinct minibatches."""
    parts = [pairs(1, 2, seed=i) for i in range(3)]
    parts = [Pairs(p.x.double(), p.y.double(), p.mask) for p in parts]
    support = Pairs(*(torch.cat([a, b], dim=1) for a, b in zip(parts[0], parts[1], strict=True)))
    residuals = []
    for rate in (0.01, 0.005, 0.0025, 0.00125):
        built = build("reptile" if algorithm == "reptile" else "maml", "model.activation=tanh").double()
        inner = InnerLoop(lr=rate, steps=3 if algorithm == "reptile" else 2, minibatch=2)
        meta: MAML | Reptile = (
            Reptile(built.model, inner).double()
            if algorithm == "reptile"
            else MAML(built.model, inner, "first" if algorithm == "fomaml" else "second").double()
        )
        gradient = meta_gradient(meta, TaskBatch(support, parts[2]))
        exact_rate = meta.inner_lr.item()
        if algorithm == "reptile":
            gradient = gradient / exact_rate
        residuals.append((gradient - expansion(algorithm, built.model, parts, exact_rate)).norm().item())
    return [a / b for a, b in pairwise(residuals)]


@pytest.mark.parametrize("algorithm", ["maml", "fomaml", "reptile"])
def test_taylor(algorithm: str) -> None:
    assert all(3.8 < ratio < 4.2 for ratio in taylor_ratios(algorithm))


@pytest.fixture
def silently_first_order(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The commonest bug of MAML code: nobody passes create_graph."""
    inner_loop = Vectorised.inner_loop

    def forgetful(self: Vectorised, *args: object, **kwargs: object) -> object:
        args = tuple("first" if a == "second" else a for a in args)
        return inner_loop(self, *args, **kwargs)

    monkeypatch.setattr(Vectorised, "inner_loop", forgetful)
    yield


@pytest.mark.usefixtures("silently_first_order")
def test_a_silently_first_order_maml_is_caught() -> None:
    assert not any(3.8 < ratio < 4.2 for ratio in taylor_ratios("maml"))
    with pytest.raises(AssertionError):
        test_maml_on_quadratics("vectorised", "second")


# --- identities


def of(name: str, *overrides: str) -> Tensor:
    """The meta-gradient of the network's own parameters."""
    algorithm = build(name, *overrides).double()
    meta_gradient(algorithm, batch(dtype=DOUBLE))
    return torch.cat([p.grad.flatten() for p in algorithm.model.parameters() if p.grad is not None])


ONE = "algorithm.inner.steps=1"
IDENTITIES = {
    "meta-sgd with a constant rate": (("meta_sgd", "algorithm.alpha=null"), ("maml", ONE)),
    "anil with all layers": (("anil", "algorithm.inner.adapts=['*']"), ("maml",)),
    "boil and anil share out the layers": (("boil", "algorithm.inner.adapts=['!body.*']"), ("anil",)),
    "fomaml": (("fomaml",), ("maml", "algorithm.order=first")),
    "annealed, before": (("maml", "algorithm.order=annealed", "algorithm.first_order_steps=5"), ("fomaml",)),
    "annealed, after": (("maml", "algorithm.order=annealed"), ("maml",)),
    "maml++ without its parts": (
        ("maml_pp", "algorithm.order=second", "algorithm.multi_step_loss=0", "algorithm.learn_rates=false"),
        ("maml",),
    ),
    "maml++ before its rates learn": (("maml_pp", "algorithm.order=second", "algorithm.multi_step_loss=0"), ("maml",)),
    "alfa at its start": (("alfa",), ("maml",)),
    "meta-curvature at its start": (("meta_curvature",), ("maml",)),
}


@pytest.mark.parametrize("pair", IDENTITIES.values(), ids=IDENTITIES)
def test_identities(pair: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    torch.testing.assert_close(of(*pair[0]), of(*pair[1]), rtol=1e-6, atol=1e-9)


def test_no_inner_step_is_joint_training_on_the_query_set() -> None:
    tasks = batch(dtype=DOUBLE)
    maml, joint = build("maml", "algorithm.inner.steps=0").double(), build("joint").double()
    only_query = TaskBatch(tasks.query, tasks.query)
    torch.testing.assert_close(meta_gradient(maml, tasks), meta_gradient(joint, only_query))


def test_reptile_with_one_step_is_sgd_on_the_joint_loss() -> None:
    tasks = batch(dtype=DOUBLE)
    reptile = build("reptile", ONE, "algorithm.inner.minibatch=null").double()
    gradient = meta_gradient(reptile, tasks) / reptile.inner_lr
    torch.testing.assert_close(gradient, meta_gradient(build("joint").double(), tasks), rtol=1e-6, atol=1e-9)


def test_reptile_moves_by_the_mean_of_the_differences() -> None:
    """The literal formula: theta - gradient * e = theta + e mean_i (p_k - theta)."""
    tasks = batch(dtype=DOUBLE)
    reptile = build("reptile").double()
    weights = reptile.inner_loop(pool(tasks), [reptile.inner.steps], "detached", minibatch=2)[0]
    expected = [(p - weights[name].mean(0)).flatten() for name, p in reptile.model.named_parameters()]
    torch.testing.assert_close(meta_gradient(reptile, tasks), torch.cat(expected).detach())


def test_cavia_moves_only_the_context_and_boil_leaves_the_head() -> None:
    tasks = batch()
    assert set(build("cavia").adapt(tasks.support)) == {"context"}
    assert set(build("anil").adapt(tasks.support)) == {"head.weight", "head.bias"}
    assert not [name for name in build("boil").adapt(tasks.support) if name.startswith("head")]


def test_r2d2_solves_the_ridge_problem() -> None:
    """At the solution, the gradient of |Z w + b - y|^2 + s |w|^2 vanishes; both routes (Woodbury or not) take it."""
    for rows in (1, 8):  # fewer and more frames than features
        algorithm = build("r2d2").double()
        support = Pairs(*(t.double() if t.is_floating_point() else t for t in pairs(2, rows)))
        state = {name: p.detach().requires_grad_() for name, p in algorithm.adapt(support).items()}
        penalty = algorithm.log_strength.exp() * state["head.weight"].square().sum() / support.y.shape[-1]
        loss = algorithm.losses(state, support).sum() + penalty
        slopes = torch.autograd.grad(loss, list(state.values()))
        assert max(s.abs().max().item() for s in slopes) < 1e-12


# --- determinism, memory


@pytest.mark.parametrize("name", TRAINED)
def test_same_seed_same_bits(name: str) -> None:
    def trained() -> dict[str, Tensor]:
        algorithm = build(name)
        optimizer = torch.optim.Adam([p for p in algorithm.parameters() if p.requires_grad], 1e-2)
        for _ in range(3):
            optimizer.zero_grad()
            algorithm.outer_loss(batch())[0].backward()
            optimizer.step()
        return algorithm.state_dict()

    first, second = trained(), trained()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("engine", ["vectorised", pytest.param("higher", marks=pytest.mark.slow)])
def test_memory_does_not_grow(engine: str) -> None:
    """100 outer steps and 100 adaptations; one kept graph a step would add 100 MB."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc to read the memory in use")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 64), nn.Tanh(), nn.Linear(64, 16))
    algorithm = MAML(model, InnerLoop(lr=0.01, steps=2, engine=engine))
    tasks = TaskBatch(pairs(2, 4, frames=64, dim=16), pairs(2, 4, frames=64, dim=16))
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    curves, used = [], []
    for step in range(120):
        optimizer.zero_grad()
        loss, metrics = algorithm.outer_loss(tasks)
        loss.backward()
        optimizer.step()
        curves.append((algorithm.adaptation_path(tasks.support, [1, 2]), metrics))
        curves = curves[-2:]
        if step in (19, 119):
            used.append(int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE)
    assert used[1] - used[0] < 20e6  # bytes


def test_joint_is_maml_without_adaptation_over_both_sets() -> None:
    tasks = batch(dtype=DOUBLE)
    joint = Joint(build("joint").model, InnerLoop()).double()
    both = pool(tasks)
    expected = masked_mse(joint.model(both.x.flatten(0, 1)).view_as(both.y), both.y, both.mask).mean()
    torch.testing.assert_close(joint.outer_loss(tasks)[0], expected)


def test_meta_sgd_learns_its_rates() -> None:
    algorithm = build("meta_sgd")
    assert isinstance(algorithm, MetaSGD)
    meta_gradient(algorithm, batch())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in algorithm.alpha)


def test_conjugate_gradients_stop_where_the_system_is_not_positive() -> None:
    """Of a concave piece of the support loss; to follow the curve there leads to infinity."""
    target = torch.tensor([[1.0, 2.0], [1.0, 2.0]], dtype=torch.float64)
    matrices = torch.tensor([[[2.0, 0.5], [0.5, 1.0]], [[-2.0, 0.0], [0.0, -1.0]]], dtype=torch.float64)
    found = conjugate_gradients(lambda v: (matrices @ v.unsqueeze(-1)).squeeze(-1), target, 5)
    torch.testing.assert_close(found[0], torch.linalg.solve(matrices[0], target[0]))
    torch.testing.assert_close(found[1], target[1])


def test_imaml_learns_where_the_support_loss_is_concave() -> None:
    """Sine waves at the start of training: without that stop nearly every task would be lost."""
    torch.manual_seed(0)
    algorithm = IMAML(MLP(1, 1, hidden=[40, 40], context=0, residual=False), InnerLoop(lr=0.02, steps=10))
    sines = SinusoidTasks(frequency=(0.8, 1.2), seed=0)
    lost = [algorithm.outer_loss(sines.batch(i, 8, 10, 10))[1]["diverged"] for i in range(5)]
    assert not any(lost)
