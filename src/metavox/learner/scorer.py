"""Speech metrics of converted utterances, each with its floor (identity) and its ceiling (copy-synthesis)."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from metavox.evaluation import metrics
from metavox.features.frames import Features, Frames
from metavox.features.store import FeatureStore
from metavox.learner.module import Score
from metavox.synthesis.f0 import F0Statistics
from metavox.tasks.batch import TaskBatch
from metavox.tasks.episodes import EpisodeInfo
from metavox.tasks.normaliser import Normaliser


class SpeechScorer:
    """Scores against the real target utterances. `parallel`: both say the same words, so that DTW has a meaning."""

    def __init__(self, store: FeatureStore, normaliser: Normaliser, parallel: bool) -> None:
        self.store, self.features, self.normaliser, self.parallel = store, store.features, normaliser, parallel

    def fast(self, y_hat: Tensor, batch: TaskBatch) -> dict[str, Tensor]:
        """MCD along the path of the pairing, [B] dB."""
        scale = torch.as_tensor(self.normaliser.scale, device=y_hat.device)
        distance = metrics.MCD_DB * ((y_hat - batch.query.y) * scale).square().sum(-1).sqrt()  # [B, Q, T]
        mask = batch.query.mask
        return {"mcd": (distance * mask).sum((-1, -2)) / mask.sum((-1, -2))}

    def full(self, info: EpisodeInfo, converted: Sequence[Tensor], is_source: bool) -> list[Score]:
        raise NotImplementedError
