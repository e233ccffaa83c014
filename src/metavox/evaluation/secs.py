"""SECS, speaker-encoder cosine similarity: does it sound like the target, and no longer like the source?"""

import logging
import warnings
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np

from metavox.audio.optional import optional
from metavox.evaluation.metrics import Score
from metavox.evaluation.waveform import Clip, EvaluatedUtterance, mean

log = logging.getLogger(__name__)

INSTALL = 'pip install -e ".[eval]" && pip install --no-deps Resemblyzer'
"""Without dependencies: it asks for webrtcvad, which needs a compiler; `eval` brings the same module as a wheel."""
RATE = 16000  # Hz, Resemblyzer's
LEAST = 0.25  # seconds of speech that must be left when pauses are cut out
SILENCE = 1e-4  # peak amplitude; the encoder's normalisation divides by the level


class Secs:
    """Cosine between the GE2E embedding (Wan et al. 2018; Resemblyzer's weights) of an utterance and the centroid of a
    voice's other recordings: `secs` should rise, `source_secs` should fall.

    Raises MetavoxError when Resemblyzer is not installed.
    """

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # imports from scipy.ndimage.morphology
            self.library = optional("resemblyzer", INSTALL)
        self.encoder = self.library.VoiceEncoder("cpu", verbose=False)
        self.known: WeakKeyDictionary[Clip, np.ndarray | None] = WeakKeyDictionary()
        self.warned = False

    def __call__(self, said: Sequence[EvaluatedUtterance]) -> list[Score]:
        """nan, and a warning the first time, where no utterance holds speech enough for the encoder."""
        found = {
            "secs": [self.similarity(s.clip, s.targets) for s in said],
            "source_secs": [self.similarity(s.clip, s.sources) for s in said],
        }
        return [Score(metric, "ge2e-centroid", mean(values)) for metric, values in found.items()]

    def similarity(self, clip: Clip, voice: Sequence[Clip]) -> float:
        """Cosine of a clip to the centroid of some recordings of a voice, nan where one of them cannot be embedded."""
        own, centroid = self.embed(clip), self.centroid(voice)
        return float("nan") if own is None or centroid is None else float(own @ centroid)

    def centroid(self, voice: Sequence[Clip]) -> np.ndarray | None:
        """Mean embedding [256] of some recordings, of length 1; None without speech enough in any."""
        known = [e for e in map(self.embed, voice) if e is not None]
        if not known:
            return None
        mean = np.mean(known, axis=0)
        return mean / np.linalg.norm(mean)

    def embed(self, clip: Clip) -> np.ndarray | None:
        """Embedding [256] of length 1, remembered as long as the clip lives; None without speech enough."""
        if clip not in self.known:
            self.known[clip] = self._embed(clip.at(RATE))
            if self.known[clip] is None and not self.warned:
                log.warning("SECS: utterances with less than %s s of speech are left out", LEAST)
                self.warned = True
        return self.known[clip]

    def _embed(self, wave: np.ndarray) -> np.ndarray | None:
        if np.abs(wave).max(initial=0) < SILENCE:
            return None
        speech = self.library.preprocess_wav(wave)  # without a rate: librosa's resampling compiles for half a minute
        return self.encoder.embed_utterance(speech) if len(speech) >= LEAST * RATE else None
