"""Speech metrics of converted utterances, each with its floor (identity) and its ceiling (copy-synthesis)."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from metavox.evaluation.metrics import MCD_DB, Score, average, f0_scores, scores
from metavox.features.frames import Frames
from metavox.features.store import FeatureStore
from metavox.synthesis.conversion import converted_frames
from metavox.synthesis.f0 import F0Statistics
from metavox.tasks.batch import TaskBatch
from metavox.tasks.episodes import EpisodeInfo
from metavox.tasks.normaliser import Normaliser


class SpeechScorer:
    """Scores against the real target utterances. `parallel`: both say the same words, so that DTW has a meaning."""

    def __init__(self, store: FeatureStore, normaliser: Normaliser, parallel: bool) -> None:
        self.store, self.features, self.normaliser, self.parallel = store, store.features, normaliser, parallel

    def fast(self, y_hat: Tensor, batch: TaskBatch) -> dict[str, Tensor]:
        """MCD along the path of the pairing, [B] dB (convention aligned24)."""
        scale = torch.as_tensor(self.normaliser.scale, device=y_hat.device)
        distance = float(MCD_DB) * ((y_hat - batch.query.y) * scale).square().sum(-1).sqrt()  # [B, Q, T]
        mask = batch.query.mask
        return {"mcd": (distance * mask).sum((-1, -2)) / mask.sum((-1, -2))}

    def full(
        self, info: EpisodeInfo, converted: Sequence[Tensor], is_source: bool, steps: Collection[int]
    ) -> list[Score]:
        """Whole converted query utterances, normalised [T, D] (padded) -> means over the utterances of a task."""
        frames = self.frames(info, converted, is_source)
        targets = [self.store.frames(target) for _, target in info.query]
        return self._average(frames, targets)

    def ceiling(self, info: EpisodeInfo) -> list[Score]:
        """What the vocoder alone costs: the first query target, synthesised and analysed again, against itself."""
        target = self.store.frames(info.query[0][1])
        return self._average([copy_synthesis(target, self.store)], [target])

    def frames(self, info: EpisodeInfo, converted: Sequence[Tensor], is_source: bool) -> list[Frames]:
        """Converted query utterances with F0 moved to the target's, ready to synthesise; F0 statistics come from the
        support utterances, as they would for a new voice."""
        sources = [self.store.frames(source) for source, _ in info.query]
        if is_source:
            return sources
        f0 = [F0Statistics.of(self.store.frames(pair[side]).f0 for pair in info.support) for side in (0, 1)]
        return [
            converted_frames(frames, self.normaliser.denormalise(z[: len(frames)].cpu().numpy()), self.features, *f0)
            for frames, z in zip(sources, converted, strict=False)  # padding may add empty utterances
        ]

    def _average(self, converted: Sequence[Frames], targets: Sequence[Frames]) -> list[Score]:
        return average(
            scores(c, t, self.features) if self.parallel else f0_scores(c.f0, t.f0)
            for c, t in zip(converted, targets, strict=True)
        )


def copy_synthesis(frames: Frames, store: FeatureStore) -> Frames:
    """Frames -> wave -> frames."""
    return store.features.analyse(store.features.synthesise(frames), store.features.rate)
