"""Speech metrics of converted utterances, each with its floor (identity) and its topline (copy-synthesis)."""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache, partial
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from metavox.audio.files import read
from metavox.corpora.utterance import Utterance
from metavox.evaluation.metrics import Score, average, f0_scores, scores
from metavox.evaluation.waveform import Clip, EvaluatedUtterance, WaveformMetric
from metavox.features.frames import Frames, compared
from metavox.features.store import FeatureStore
from metavox.synthesis.conversion import VoiceStatistics, convert_frames, mapped_spectra
from metavox.synthesis.f0 import F0Statistics
from metavox.synthesis.postfilter import SPOKEN, Postfilter
from metavox.synthesis.variance import GV, NONE
from metavox.synthesis.vocoders.base import Original, Vocoder
from metavox.tasks.batch import TaskBatch
from metavox.tasks.episodes import EpisodeInfo
from metavox.tasks.normaliser import Normaliser

HIGH = 150.0
"""Hz; a voice whose median F0 is above counts as high where its corpus does not say a sex. Of 146 LibriSpeech speakers,
five pieces of 1 s each, it puts 136 where SPEAKERS.TXT does."""
REMEMBERED = 512
"""Recordings kept in memory for the metrics that listen, about 0.5 MB each."""


class SpeechScorer:
    """Scores against the real target utterances. `parallel`: both say the same words, so that DTW has a meaning.

    `vocoder` makes the frames heard; without one only frames are scored, and there can be no waveform metrics.
    `gv` is what converted frames are given of the target's global variance; what the source changes by within `window`
    seconds stays its own then.
    `waveform_metrics` are slow: they hear the outputs after the numbers of inner steps in `listen_steps`.
    `voices` are the recordings of all target speakers of the test, with whom a target may be confused.
    """

    def __init__(
        self, store: FeatureStore, normaliser: Normaliser, parallel: bool, vocoder: Vocoder | None,
        waveform_metrics: Sequence[WaveformMetric] = (), listen_steps: Collection[int] = (),
        voices: Mapping[str, Sequence[Utterance]] = MappingProxyType({}), gv: GV = NONE,
        window: float = SPOKEN,
    ) -> None:  # fmt: skip
        self.store, self.features, self.normaliser, self.parallel = store, store.features, normaliser, parallel
        self.vocoder, self.gv, self.window = vocoder, gv, window
        self.waveform_metrics, self.listen_steps, self.speakers = waveform_metrics, set(listen_steps), voices
        self.recording = lru_cache(REMEMBERED)(self._recording)
        self.known = lru_cache(REMEMBERED)(self._known)  # asked for after every number of inner steps

    def fast(self, y_hat: Tensor, batch: TaskBatch) -> dict[str, Tensor]:
        """Distance along the path of the pairing, [B]: for WORLD's frames MCD in dB (convention aligned24)."""
        how, scale = self.features.distance, torch.as_tensor(self.normaliser.scale, device=y_hat.device)
        apart = ((y_hat - batch.query.y) * scale)[..., compared(self.features)]
        distance = how.factor * apart.square().sum(-1).sqrt()  # [B, Q, T]
        mask = batch.query.mask
        return {how.metric: (distance * mask).sum((-1, -2)) / mask.sum((-1, -2))}

    def aligned(self, y_hat: Tensor, batch: TaskBatch) -> list[Score]:
        """The same as a score of each task."""
        ((metric, values),) = self.fast(y_hat, batch).items()
        return [Score(metric, self.features.distance.aligned, float(value)) for value in values]

    def full(
        self, info: EpisodeInfo, converted: Sequence[Tensor], is_source: bool, steps: Collection[int]
    ) -> list[Score]:
        """Whole converted query utterances, normalised [T, D] (padded) -> means over the utterances of a task."""
        frames = self.frames(info, converted, is_source)
        targets = [self.store.frames(target) for _, target in info.query]
        found = self._average(frames, targets)
        if not self.waveform_metrics or not self.listen_steps.intersection(steps):
            return found
        return found + self._listen(info, self._rendered(frames, [source for source, _ in info.query]), 0)

    def voices(self, info: EpisodeInfo) -> str:
        """Whether source and target have "same" or "cross" sex, or register where a corpus does not say the sex."""
        source, target = (self._register(info, side) for side in (0, 1))
        return "same" if source == target else "cross"

    def _register(self, info: EpisodeInfo, side: int) -> str:
        utterances = [pair[side] for pair in info.query]  # which are the same at every K
        if utterances[0].sex:
            return utterances[0].sex
        return "F" if F0Statistics.of(self.store.frames(u).f0 for u in utterances).median > HIGH else "M"

    def copy_synthesis(self, info: EpisodeInfo) -> list[Score]:
        """What the vocoder alone costs: the first query target, rendered and analysed again, against itself. The
        metrics that listen hear all query targets."""
        targets = [target for _, target in info.query]
        frames = [self.store.frames(target) for target in targets]
        clips = self._rendered(frames if self.waveform_metrics else frames[:1], targets)
        again = self.features.analyse(clips[0].wave, self.features.rate, aperiodicity=False)  # which nothing measures
        found = self._average([again], frames[:1])
        return found + (self._listen(info, clips, 1) if self.waveform_metrics else [])

    def natural(self, info: EpisodeInfo) -> list[Score]:
        """What the metrics that listen say of the query targets themselves."""
        return self._listen(info, [self.recording(target) for _, target in info.query], 1)

    def render(self, frames: Frames, source: Utterance) -> np.ndarray:
        """Frames converted from those of `source` -> wave [S] float32."""
        assert self.vocoder is not None
        return self.vocoder.render(frames, Original(self.recording(source).wave, self.store.frames(source)))

    def _rendered(self, frames: Sequence[Frames], sources: Sequence[Utterance]) -> list[Clip]:
        return [Clip(self.render(f, s), self.features.rate) for f, s in zip(frames, sources, strict=False)]

    def _listen(self, info: EpisodeInfo, clips: Sequence[Clip], side: int) -> list[Score]:
        """`side` says whose words the clips are: 0 the source's, 1 the target's."""
        voices = [[self.recording(pair[s]) for pair in (*info.query, *info.support)] for s in (0, 1)]
        impostors = {name: partial(self._recordings, name) for name in self.speakers if name != info.target}
        said = [
            EvaluatedUtterance(
                clip, _others(voices[1], i), _others(voices[0], i), info.query[i][side].text,
                voices[1][i] if self.parallel else None, impostors,
            )
            for i, clip in enumerate(clips)
        ]  # fmt: skip
        return [score for listener in self.waveform_metrics for score in listener(said)]

    def _recordings(self, speaker: str) -> list[Clip]:
        return [self.recording(utterance) for utterance in self.speakers[speaker]]

    def _recording(self, utterance: Utterance) -> Clip:
        rate = self.features.rate
        return Clip(read(utterance.path, rate, utterance.start, utterance.stop), rate)

    def frames(self, info: EpisodeInfo, converted: Sequence[Tensor], is_source: bool) -> list[Frames]:
        """Converted query utterances with F0 moved to the target's, ready to synthesise; what is known of the two
        voices comes from the support utterances, as it would for a new voice."""
        sources = [self.store.frames(source) for source, _ in info.query]
        if is_source:
            return sources
        mapped = [
            self.normaliser.denormalise(z[: len(frames)].cpu().numpy())
            for frames, z in zip(sources, converted, strict=False)  # padding may add empty utterances
        ]
        pitch, known = self.known(info)
        if self.gv.share:
            targets = [self.store.frames(target) for _, target in info.support]
            spectra = mapped_spectra(sources, mapped, self.features, self.normaliser, self.gv.smooth)
            known = known._replace(
                postfilter=Postfilter.fit(sources, spectra, targets, self.features), fast=self.window
            )
        return convert_frames(sources, mapped, self.features, self.normaliser, pitch, known, self.gv)

    def _known(self, info: EpisodeInfo) -> tuple[F0Statistics, VoiceStatistics]:
        source, target = ([self.store.frames(pair[side]) for pair in info.support] for side in (0, 1))
        return F0Statistics.of(u.f0 for u in source), VoiceStatistics.of(target, self.features)

    def _average(self, converted: Sequence[Frames], targets: Sequence[Frames]) -> list[Score]:
        return average(
            scores(c, t, self.features) if self.parallel else f0_scores(c.f0, t.f0)
            for c, t in zip(converted, targets, strict=True)
        )


def _others(voice: Sequence[Clip], i: int) -> list[Clip]:
    """The recordings of a voice that are not recording i, which may occur again."""
    return [clip for clip in voice if clip is not voice[i]]
