"""Ridge regression from source to target frames: the linear baseline, its strength found by leaving utterances out."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from metavox.algorithms.base import Adapted
from metavox.algorithms.closed_form import ClosedForm, left_out, targets
from metavox.errors import ConfigError
from metavox.tasks.batch import Pairs


class Ridge(ClosedForm):
    """min_W,b sum_frames |x + x W' + b - y|^2 + s (|W|^2 + |b|^2): shrunk to the identity, where Dx = Dy; else to 0.

    s, in frames, is the one of `strengths` whose maps err least on the utterances they were not fitted on; of a single
    utterance, on blocks of its frames.
    """

    def __init__(self, model: nn.Module, strengths: Sequence[float] = (30.0, 100.0, 300.0, 1000.0)) -> None:
        super().__init__()
        if not strengths or not min(strengths) > 0:
            raise ConfigError(f"ridge strengths={list(strengths)}: give at least one number, all above 0.")
        self.strengths = sorted(strengths, reverse=True)  # of equal ones the strongest is taken

    def fit(self, support: Pairs) -> Adapted:
        """weight [B, Dy, Dx] and bias [B, Dy]"""
        z = nn.functional.pad(support.x, (0, 1), value=1.0).double()  # [B, K, T, D + 1]
        r = targets(support).double()
        parts = [_moments(z, r, fold) for fold in left_out(support.mask).unbind(1)]
        gram, cross = (torch.stack(each, dim=1) for each in zip(*parts, strict=True))  # [B, F, D + 1, ...]
        whole = gram.sum(1), cross.sum(1)
        maps = [_solve(whole[0], whole[1], s) for s in self.strengths]
        errors = []
        for s in self.strengths:
            w = _solve(whole[0][:, None] - gram, whole[1][:, None] - cross, s)  # [B, F, D + 1, Dy]
            errors.append((w * (gram @ w - 2 * cross)).sum((1, 2, 3)))  # the squared error but for a constant
        best = torch.stack(errors).argmin(0)  # [B]
        chosen = torch.stack(maps)[best, torch.arange(len(best), device=best.device)].mT.to(support.x)
        return {"weight": chosen[..., :-1].contiguous(), "bias": chosen[..., -1].contiguous()}

    def predict(self, adapted: Adapted, x: Tensor) -> Tensor:
        """x [B, K, T, Dx] -> y_hat [B, K, T, Dy]"""
        y = x @ adapted["weight"].mT.unsqueeze(1) + adapted["bias"][:, None, None]
        return x + y if x.shape[-1] == y.shape[-1] else y


def _moments(z: Tensor, r: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
    """z'z and z'r of the frames [B, K, T]."""
    chosen = (z * frames.unsqueeze(-1)).flatten(1, 2)
    return chosen.mT @ z.flatten(1, 2), chosen.mT @ r.flatten(1, 2)


def _solve(gram: Tensor, cross: Tensor, strength: float) -> Tensor:
    size = gram.shape[-1]
    return torch.linalg.solve(gram + strength * torch.eye(size, dtype=gram.dtype, device=gram.device), cross)
