"""Mapping networks: shapes, the identity anchor, padding, the context input, the task axis."""

import pytest
import torch
from torch import nn

from metavox.errors import ConfigError
from metavox.models.base import Linear, MappingNetwork
from metavox.models.conv import ConvNet
from metavox.models.mlp import MLP
from roster import pairs

KINDS = [MLP, ConvNet]


@pytest.mark.parametrize("kind", KINDS)
def test_residual_starts_as_the_identity(kind: type[MappingNetwork]) -> None:
    x = torch.randn(2, 9, 4)
    assert torch.equal(kind(4, 4)(x), x)
    assert kind(4, 2, residual=False)(x).shape == (2, 9, 2)
    with pytest.raises(ConfigError, match="residual=false"):
        kind(4, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(kind: type[MappingNetwork]) -> None:
    model = kind(3, 3, residual=False)
    padded = pairs(1, 4)
    y = model(padded.x[0])
    for k, length in enumerate(padded.mask[0].sum(1).tolist()):
        bare = model(padded.x[0, k : k + 1, :length])
        torch.testing.assert_close(y[k, :length], bare[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_frames_see_their_neighbours_only(kind: type[MappingNetwork]) -> None:
    model = kind(3, 3, residual=False)
    x = torch.randn(1, 40, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(model(x)[0, 20].sum(), x)
    reach = 2 if kind is MLP else 7
    touched = slope[0].abs().sum(-1).nonzero().flatten()
    assert (touched.min().item(), touched.max().item()) == (20 - reach, 20 + reach)


@pytest.mark.parametrize("kind", KINDS)
def test_context_is_an_input_of_every_frame(kind: type[MappingNetwork]) -> None:
    model = kind(3, 3, residual=False, context_inputs=2)
    x = torch.zeros(1, 5, 3)
    before = model(x)
    nn.init.ones_(model.context)
    changed = (model(x) - before).abs().sum(-1)
    assert (changed > 0).all()
    with pytest.raises(ConfigError, match="context_inputs"):
        kind(3, 3, context_inputs=-1)


def test_linear_with_one_set_of_weights_for_each_task() -> None:
    torch.manual_seed(0)
    layer, x = Linear(3, 4), torch.randn(2, 5, 7, 3)
    weight, bias = torch.randn(2, 4, 3), torch.randn(2, 4)
    for parameters in ({"weight": weight, "bias": bias}, {"weight": weight}, {"bias": bias}):
        together = torch.func.functional_call(layer, parameters, (x,))
        for b in range(2):
            alone = torch.func.functional_call(layer, {name: p[b] for name, p in parameters.items()}, (x[b],))
            torch.testing.assert_close(together[b], alone)


def test_initialisation_of_the_sinusoid_papers() -> None:
    model = MLP(1, 1, [40, 40], 0, residual=False, init_std=0.01)
    weights = torch.cat([layer.weight.flatten() for layer in model.modules() if isinstance(layer, nn.Linear)])
    assert weights.abs().max() <= 0.02 and 0.007 < weights.std() < 0.01
    assert model.head.bias.item() == 0


def test_unknown_activation() -> None:
    with pytest.raises(ConfigError, match="relu"):
        MLP(3, 3, activation="relo")
