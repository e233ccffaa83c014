"""Nearest neighbours in the support: every source frame becomes the mean of target frames."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from metavox.algorithms.base import Adapted
from metavox.algorithms.closed_form import ClosedForm, left_out
from metavox.errors import ConfigError
from metavox.tasks.batch import Pairs


class KNN(ClosedForm):
    """y_hat = mean of y_i over the k support frames x_i nearest to x.

    k is the one of `neighbours` that errs least on the utterances left out (of a single one, on blocks of frames).
    Exemplar-based conversion over aligned pairs; kNN-VC (Baas et al. 2023, arXiv 2305.18975) needs no pairs: it looks
    for the source frame among the target's frames, in features that hardly tell speakers apart.
    """

    def __init__(self, model: nn.Module, neighbours: Sequence[int] = (1, 2, 4, 8, 16, 32)) -> None:
        super().__init__()
        if not neighbours or min(neighbours) < 1:
            raise ConfigError(f"knn neighbours={list(neighbours)}: give at least one number, all 1 or more.")
        self.neighbours = sorted(neighbours, reverse=True)

    def fit(self, support: Pairs) -> Adapted:
        """The frames x [B, N, Dx] and y [B, N, Dy], valid [B, N] (1 or 0), k [B]."""
        valid, order = support.mask.flatten(1).sort(dim=1, descending=True, stable=True)
        count = int(valid.sum(1).max())
        x, y, folds = (
            _rows(values.flatten(1, 2), order[:, :count])
            for values in (support.x, support.y, left_out(support.mask).movedim(1, -1))
        )
        valid = valid[:, :count]
        errors = torch.zeros(len(self.neighbours), len(x), device=x.device)
        for fold in folds.unbind(-1):  # [B, N]
            found = _means(x, x, y, valid & ~fold, self.neighbours)
            errors += torch.stack([((mean - y).square().sum(-1) * fold).sum(1) for mean in found])
        k = torch.tensor(self.neighbours, device=x.device)[errors.argmin(0)]
        return {"x": x, "y": y, "valid": valid.to(x), "k": k}

    def predict(self, adapted: Adapted, x: Tensor) -> Tensor:
        """x [B, K, T, Dx] -> y_hat [B, K, T, Dy]"""
        bank, y, valid, k = (adapted[name] for name in ("x", "y", "valid", "k"))
        sizes = sorted({int(size) for size in k})
        choice = torch.tensor([sizes.index(int(size)) for size in k], device=x.device)
        rows = torch.arange(len(k), device=x.device)
        means = [torch.stack(_means(row, bank, y, valid > 0, sizes))[choice, rows] for row in x.unbind(1)]
        return torch.stack(means, dim=1)


def _rows(values: Tensor, order: Tensor) -> Tensor:
    """values [B, M, D], order [B, N] -> [B, N, D]"""
    return values.gather(1, order.unsqueeze(-1).expand(-1, -1, values.shape[-1]))


def _means(x: Tensor, bank: Tensor, y: Tensor, valid: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """For each of `sizes` the mean y [B, N, Dy] of as many valid frames of the bank [B, N, Dx] nearest to x [B, T, Dx]:
    [B, T, Dy]; of fewer where there are fewer, 0 where there is none."""
    distance = torch.cdist(x, bank).masked_fill(~valid.unsqueeze(1), torch.inf)
    near, index = distance.topk(min(max(sizes), bank.shape[1]), largest=False)  # [B, T, k]
    there = near.isfinite().to(y)
    values = y.gather(1, index.flatten(1).unsqueeze(-1).expand(-1, -1, y.shape[-1])).unflatten(1, index.shape[1:])
    sums, counts = (values * there.unsqueeze(-1)).cumsum(2), there.cumsum(2)
    last = [min(size, index.shape[-1]) - 1 for size in sizes]
    return [sums[:, :, i] / counts[:, :, i, None].clamp_min(1) for i in last]
