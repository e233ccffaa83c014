"""Several seeds of one algorithm trained as one: on small networks they cost hardly more than a single one."""

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import nn

from metavox.algorithms.base import MetaAlgorithm
from metavox.errors import ConfigError

Algorithm = TypeVar("Algorithm", bound=MetaAlgorithm)


def replicated(algorithms: Sequence[Algorithm]) -> Algorithm:
    """R algorithms that differ in their parameters only, as one whose every parameter is [R, ...].

    A batch then holds R equal shares of tasks, one after the other; replica r sees its share alone, and the outer loss
    is the sum of theirs. For networks whose layers take a task axis, or that learn nothing; raises ConfigError for
    others.
    """
    if len(algorithms) == 1:
        return algorithms[0]
    joined = copy.deepcopy(algorithms[0])
    if any(True for _ in joined.parameters()) and not getattr(joined.model, "batched", False):
        raise ConfigError(f"{type(joined.model).__name__} cannot train several seeds at once: train them one by one.")
    for path, module in joined.named_modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            stack = torch.stack([a.get_submodule(path).get_parameter(name).detach() for a in algorithms])
            setattr(module, name, nn.Parameter(stack, parameter.requires_grad))
    joined.replicas = len(algorithms)
    return joined
