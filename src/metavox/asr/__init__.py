"""Speech recognisers behind one protocol: `Whisper` (faster-whisper) and `PocketSphinx` (weak, models in its wheel)."""

from metavox.asr.base import ASR, Transcript, Word
from metavox.asr.pocketsphinx import PocketSphinx
from metavox.asr.whisper import Whisper

__all__ = ["ASR", "PocketSphinx", "Transcript", "Whisper", "Word"]
