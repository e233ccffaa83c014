"""Word and character error rates of a speech recogniser against the transcript: is it still intelligible?

A recogniser errs on natural speech too: read the rates beside those of `natural` and `copy-synthesis`.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torchmetrics.functional.text import char_error_rate, word_error_rate

from metavox.audio.optional import optional
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


class PocketSphinx(Wer):
    """US English by the models in the wheel of pocketsphinx: weak, but offline.

    Raises MetavoxError when pocketsphinx is not installed.
    """

    name = "pocketsphinx"

    def __init__(self) -> None:
        self.library = optional("pocketsphinx")

    def transcribe(self, wave: np.ndarray) -> str:
        decoder = self.library.Decoder(samprate=RATE, loglevel="FATAL")  # anew: its cepstral mean would carry over
        decoder.start_utt()
        decoder.process_raw((wave * 32767).astype(np.int16).tobytes(), full_utt=True)
        decoder.end_utt()
        return decoder.hyp().hypstr if decoder.hyp() else ""


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
