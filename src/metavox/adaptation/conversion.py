"""From a voice and speech to converted waves."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from metavox.adaptation.checkpoint import Checkpoint
from metavox.adaptation.recordings import LEVEL
from metavox.adaptation.speech import Speech
from metavox.audio.level import gain_to
from metavox.audio.samples import AnyWave, peak, scaled
from metavox.features.frames import Features
from metavox.runtime import cores
from metavox.synthesis.f0 import F0Statistics
from metavox.synthesis.pieces import render
from metavox.synthesis.variance import GV
from metavox.synthesis.vocoders.base import Original, Vocoder
from metavox.synthesis.voice import StoredVoice

PEAK = 0.99
"""Highest amplitude of a result; a louder one is turned down as a whole."""


LOUDNESS = (-36.0, -16.0)
"""dB of full scale; the bounds of the target's loudness that results are given."""


@dataclass(frozen=True)
class Conversion:
    """A piece of speech in another voice: `sound` [S] float32, on disk where it is long, turned down by `turned_down`
    dB where it would clip."""

    source: Speech
    sound: AnyWave
    turned_down: float
    original: Original
    vocoder: Vocoder
    features: Features

    @property
    def wave(self) -> np.ndarray:
        """The sound [S] in memory."""
        return np.asarray(self.sound)

    def copy_synthesis(self) -> AnyWave:
        """The source [S] through the vocoder alone: what is wrong there, no network can mend."""
        return below_peak(render(self.vocoder, self.original.frames, self.original, self.features))[0]


def convert(
    stored: StoredVoice, checkpoint: Checkpoint, vocoder: Vocoder, gv: GV, speech: Sequence[Speech],
    source_f0: F0Statistics,
) -> Iterator[Conversion]:  # fmt: skip
    """Converts the `speech` of a voice whose pitch is `source_f0`, one piece after the other.

    The global variance is measured over all pieces together. One vocoder call at a time, since vocoders may draw from
    the one random generator; threads find the aperiodicity of the sources meanwhile.
    """
    features, level = checkpoint.features, float(np.clip(stored.provenance.get("level", LEVEL), *LOUDNESS))
    frames = [s.frames for s in speech]
    converted = stored.convert(frames, source_f0, checkpoint.algorithm, features, checkpoint.normaliser, gv)
    with ThreadPoolExecutor(cores()) as pool:
        found = pool.map(lambda said: features.aperiodicity(said.wave()), speech)
        for said, target, aperiodicity in zip(speech, converted, found, strict=True):
            original = Original(said.wave(), replace(said.frames, aperiodicity=aperiodicity))
            wave = render(vocoder, replace(target, aperiodicity=aperiodicity), original, features)
            wave, turned_down = below_peak(scaled(wave, gain_to(level, wave, features.rate)))
            yield Conversion(said, wave, turned_down, original, vocoder, features)


def copy_synthesis(speech: Speech, features: Features, vocoder: Vocoder) -> np.ndarray:
    """A piece of speech [S] through the vocoder, unconverted."""
    wave = speech.wave()
    own = replace(speech.frames, aperiodicity=features.aperiodicity(wave))
    return np.asarray(below_peak(render(vocoder, own, Original(wave, own), features))[0])


def below_peak(wave: AnyWave) -> tuple[AnyWave, float]:
    """A wave [S] that does not clip, and by how many dB it was turned down for that."""
    highest = peak(wave)
    if not highest > PEAK:
        return wave, 0.0
    return scaled(wave, PEAK / highest), float(20 * np.log10(highest / PEAK))


def hertz(tracks: Sequence[np.ndarray]) -> float | None:
    """Median F0 of some tracks [T], None where nothing is voiced (JSON has no nan)."""
    return F0Statistics.of(tracks).median if any((t > 0).any() for t in tracks) else None
