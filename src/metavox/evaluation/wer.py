"""Word and character error rates of a speech recogniser against the transcript: is it still intelligible?

A recogniser errs on natural speech too: read the rates beside those of `natural` and `copy-synthesis`.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torchmetrics.functional.text import char_error_rate, word_error_rate

from metavox.asr import ASR, PocketSphinx, Whisper
from metavox.audio.torchaudio_import import torchaudio
from metavox.errors import MetavoxError
from metavox.evaluation.metrics import Score
from metavox.evaluation.waveform import Clip, EvaluatedUtterance
from metavox.pairing.parallel import spoken

log = logging.getLogger(__name__)
RATE = 16000  # Hz, both recognisers'


class Wer(ABC):
    """`wer`: wrong, missing and superfluous words over the words of the transcripts of a task, without case and
    punctuation; `cer`: the same of characters. The convention names the recogniser."""

    name: str
    warned = False

    def __call__(self, said: Sequence[EvaluatedUtterance]) -> list[Score]:
        """None, and a warning the first time, where nothing has a transcript."""
        pairs = [(self.words(s.clip), spoken(s.text)) for s in said if s.text and spoken(s.text)]
        if not pairs:
            if not self.warned:
                log.warning("WER: no transcripts; wer is left out of such tasks")
            self.warned = True
            return []
        heard, texts = map(list, zip(*pairs, strict=True))
        rates = {"wer": word_error_rate(heard, texts), "cer": char_error_rate(heard, texts)}
        return [Score(metric, self.name, float(rate)) for metric, rate in rates.items()]

    def words(self, clip: Clip) -> str:
        """What was heard."""
        return spoken(self.transcribe(clip.at(RATE)))

    @abstractmethod
    def transcribe(self, wave: np.ndarray) -> str:
        """wave [S] float32 at 16 kHz -> text."""


class Recognised(Wer):
    """By a recogniser of `metavox.asr`. `name` stands in the convention, so that two of them are never averaged."""

    def __init__(self, asr: ASR, name: str) -> None:
        self.asr, self.name = asr, name

    def transcribe(self, wave: np.ndarray) -> str:
        return self.asr.transcribe(wave, RATE).text


def pocketsphinx() -> Recognised:
    """US English by the models in the wheel of pocketsphinx: weak, but offline. Raises MetavoxError when it is not
    installed."""
    return Recognised(PocketSphinx(), "pocketsphinx")


def best(model: str = "tiny.en") -> Recognised:
    """Whisper where faster-whisper is installed and the model is there or can be fetched, else PocketSphinx, with a
    warning; the convention names which. Raises MetavoxError where there is neither."""
    try:
        asr = Whisper(model, sure=0.0)  # what it is unsure of counts as it was heard
        asr.load()
    except MetavoxError as error:
        log.warning("listen=wer: PocketSphinx hears in Whisper's place, and errs much on natural speech; %s", error)
        return pocketsphinx()
    return Recognised(asr, f"whisper {asr.label}")


class Wav2Vec2(Wer):
    """A torchaudio pipeline (Baevski et al. 2020) with greedy CTC decoding; its weights are fetched once.

    `pipeline` names a bundle of torchaudio.pipelines for speech recognition. Raises MetavoxError when there is no such
    bundle, or its weights are neither in torch's cache nor can be fetched.
    """

    def __init__(self, pipeline: str = "WAV2VEC2_ASR_BASE_960H") -> None:
        self.name = pipeline.lower()
        bundle = getattr(torchaudio().pipelines, pipeline, None)
        if bundle is None or not hasattr(bundle, "get_labels"):
            raise MetavoxError(f"torchaudio has no speech recogniser {pipeline!r}; take WAV2VEC2_ASR_BASE_960H")
        try:
            self.model = bundle.get_model().eval()
        except OSError as error:
            place = f"{torch.hub.get_dir()}/checkpoints"
            raise MetavoxError(
                f"wer by {pipeline} fetches its weights from download.pytorch.org to {place}, which failed ({error}); "
                "connect to the internet, copy the file there, or use listen=wer, which needs none"
            ) from error
        self.labels = bundle.get_labels()

    def transcribe(self, wave: np.ndarray) -> str:
        with torch.inference_mode():
            best = self.model(torch.from_numpy(wave)[None])[0][0].argmax(-1)
        return "".join(self.labels[i] for i in torch.unique_consecutive(best).tolist() if i).replace("|", " ")
