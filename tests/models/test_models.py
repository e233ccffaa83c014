"""Mapping networks: shapes, the identity anchor, padding, the context input, the task axis."""

import pytest
import torch
from torch import nn

from metavox.errors import ConfigError
from metavox.models.base import Linear, MappingNetwork
from metavox.models.conv import ConvNet
from metavox.models.gru import GRUNet
from metavox.models.mlp import MLP
from metavox.models.transformer import Transformer, normalise
from roster import pairs

KINDS = [MLP, ConvNet, GRUNet, Transformer]


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
    first, last = {MLP: (18, 22), ConvNet: (13, 27), GRUNet: (8, 39), Transformer: (12, 28)}[kind]  # GRU: block 16..31
    touched = slope[0].abs().sum(-1).nonzero().flatten()
    assert (touched.min().item(), touched.max().item()) == (first, last)


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


def test_the_gru_is_that_of_torch() -> None:
    """In one block without lead it is torch's own, and it starts from the same kind of weights."""
    torch.manual_seed(0)
    model, reference, x = (
        GRUNet(3, 3, 5, block=9, reach=0),
        nn.GRU(3, 5, bidirectional=True, batch_first=True),
        torch.randn(2, 9, 3),
    )
    own = dict(reference.named_parameters())
    with torch.no_grad():
        for name in ("weight", "bias"):
            model.enter.get_parameter(name).copy_(torch.cat([own[f"{name}_ih_l0"], own[f"{name}_ih_l0_reverse"]]))
            model.forth.get_parameter(name).copy_(own[f"{name}_hh_l0"])
            model.back.get_parameter(name).copy_(own[f"{name}_hh_l0_reverse"])
        torch.testing.assert_close(model.features(x), reference(x)[0])
    with pytest.raises(ConfigError, match="block=0"):
        GRUNet(3, 3, block=0)


def test_attention_is_that_of_torch_within_the_window() -> None:
    torch.manual_seed(0)
    layer = Transformer(3, 3, 8, heads=2, layers=1, reach=2).layers[0]
    h = normalise(torch.randn(2, 11, 8))
    nn.init.zeros_(layer.place.weight)
    split = [layer._split(part(h)).transpose(1, 2) for part in (layer.query, layer.key, layer.value)]
    offset = torch.arange(11) - torch.arange(11)[:, None] + 2  # of key to query
    bias = layer.place.bias.view(2, 5)[:, offset.clamp(0, 4)].masked_fill((offset < 0) | (offset > 4), -torch.inf)
    want = nn.functional.scaled_dot_product_attention(*split, attn_mask=bias).transpose(1, 2).flatten(2)
    torch.testing.assert_close(layer._attend(h, slice(2, 9)), want[:, 2:9])
    with pytest.raises(ConfigError, match="multiple of"):
        Transformer(3, 3, 6, heads=4)


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
