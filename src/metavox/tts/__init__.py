"""Text-to-speech engines behind one protocol: `Espeak` (offline, a hundred languages) and `Piper` (neural)."""

from metavox.tts.base import TTS, at_hand, spoken_key, voice_of
from metavox.tts.espeak import Espeak
from metavox.tts.piper import Piper

__all__ = ["TTS", "Espeak", "Piper", "at_hand", "spoken_key", "voice_of"]
