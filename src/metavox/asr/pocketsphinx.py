"""US English by the models in the wheel of pocketsphinx: weak, but offline."""

import numpy as np
import soxr

from metavox.asr.base import RATE, Transcript, Word, family
from metavox.audio.optional import optional
from metavox.errors import ConfigError

PAUSES = ("<s>", "</s>", "<sil>", "[SPEECH]", "[NOISE]")


class PocketSphinx:
    """The recogniser of CMU Sphinx; a decoder of its own for every utterance. Raises MetavoxError when it is not
    installed."""

    def __init__(self) -> None:
        optional("pocketsphinx", 'pip install -e ".[align]"', "asr=pocketsphinx")

    def settings(self) -> dict[str, object]:
        """Plain values that identify what would be heard."""
        return {"engine": "pocketsphinx"}

    def transcribe(self, wave: np.ndarray, rate: int, language: str = "en") -> Transcript:
        """wave [S] at `rate` Hz -> words with their times. Raises ConfigError for any language but English."""
        import pocketsphinx

        if family(language) != "en":
            raise ConfigError(f"pocketsphinx knows English only, not {language}; use asr=whisper asr.model=tiny")
        wave = wave if rate == RATE else soxr.resample(wave, rate, RATE)
        decoder = pocketsphinx.Decoder(samprate=RATE, loglevel="FATAL")  # anew: its cepstral mean would carry over
        decoder.start_utt()
        decoder.process_raw((np.clip(wave, -1, 1) * 32767).astype(np.int16).tobytes(), full_utt=True)
        decoder.end_utt()
        if not decoder.hyp():
            return Transcript("")
        hop = 1 / decoder.config["frate"]
        words = tuple(
            Word(_plain(s.word), s.start_frame * hop, (s.end_frame + 1) * hop)
            for s in decoder.seg()
            if s.word not in PAUSES and not s.word.startswith("++")
        )
        return Transcript(" ".join(word.text for word in words), words)


def _plain(word: str) -> str:
    """The second pronunciation of a word is `word(2)`."""
    return word.partition("(")[0]
