"""The text-to-speech voice that is nearest to a target: the less a map has to move, the better it does."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metavox.adaptation.checkpoint import Checkpoint
from metavox.adaptation.speech import Speech, SpokenSource, spoken_by
from metavox.corpora.espeak import corpus_sentences
from metavox.features.frames import Features
from metavox.synthesis.conversion import speech
from metavox.synthesis.f0 import F0Statistics
from metavox.tts import TTS, Espeak, at_hand, voice_of

VARIANTS = ("m1", "m3", "m4", "m7", "f1", "f2", "f3", "f4")
"""espeak-ng's, from low to high; its others are effects."""
WORDS = 6  # of a sentence, by which voices are judged
CLOSEST = 3  # in pitch, of which the spectrum decides


class NearestTTS(NamedTuple):
    """A text-to-speech voice and why it was chosen."""

    tts: TTS
    reason: str


def candidates(checkpoint: Checkpoint) -> list[TTS]:
    """The text-to-speech voices that a run was trained with and that are on this machine, without espeak-ng's where
    there are others: the source makes more of a result than the map. Without any, some of espeak-ng's."""
    trained = (checkpoint.config.get("pairing") or {}).get("voices") or []
    there = [voice_of(voice) for voice in trained if at_hand(voice)]
    return [v for v in there if not isinstance(v, Espeak)] or there or [Espeak(f"en-us+{v}") for v in VARIANTS]


def nearest_tts(
    voices: Sequence[TTS], features: Features, target: F0Statistics, spectrum: np.ndarray | None
) -> NearestTTS:
    """The voice nearest in pitch; of the `CLOSEST`, the nearest in mean `spectrum` [D] where that is given."""
    if len(voices) == 1:
        return NearestTTS(voices[0], f"{spoken_by(voices[0])}, the only one here that the run was trained with")
    text = " ".join(corpus_sentences()[0].split()[:WORDS])
    said = {voice: SpokenSource(voice, "", features).say(text, voice.name, own_language=True) for voice in voices}
    pitch = {voice: F0Statistics.of([s.frames.f0]).median for voice, s in said.items()}
    apart = {voice: abs(np.log(f0 / target.median)) if target.frames and f0 > 0 else 0.0 for voice, f0 in pitch.items()}
    close = sorted(voices, key=lambda voice: apart[voice])[:CLOSEST]
    if spectrum is not None:
        close.sort(key=lambda voice: float(np.linalg.norm(mean_spectrum([said[voice]], features) - spectrum)))
    best = close[0]
    wanted = f"the target's {target.median:.0f} Hz" if target.frames else "a target without pitch"
    return NearestTTS(best, f"{spoken_by(best)} ({pitch[best]:.0f} Hz), the nearest to {wanted}")


def mean_spectrum(pieces: Sequence[Speech], features: Features) -> np.ndarray:
    """The mean of the columns that are compared, [D], over what is spoken in some pieces."""
    rows = [piece.frames.spectrum[speech(piece.frames, features), features.distance.columns] for piece in pieces]
    return np.asarray(np.concatenate(rows).mean(0))
