"""The public face of adaptation: a trained run, and the voices adapted with it."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import numpy as np

from metavox.adaptation.checkpoint import Checkpoint, load_checkpoint
from metavox.adaptation.conversion import Conversion, convert, copy_synthesis
from metavox.adaptation.dub import Dubbing, Speak, tts_in
from metavox.adaptation.enrolment import Source, Wishes, enrol, pairing_named
from metavox.adaptation.fitting import first_gradient
from metavox.adaptation.hearing import doubts, with_heard
from metavox.adaptation.nearest_tts import candidates, mean_spectrum, nearest_tts
from metavox.adaptation.recordings import (
    Progress,
    Recording,
    Recordings,
    Texts,
    find,
    load,
    silent,
    with_texts,
    without_results,
)
from metavox.adaptation.script import script_warning
from metavox.adaptation.similarity import similarities
from metavox.adaptation.speech import Speech, SpokenSource, plain_tts, spoken_by, tts_of
from metavox.adaptation.support import spread
from metavox.adaptation.translate import SpeechTranslation, Translated
from metavox.adaptation.voice_report import Report
from metavox.asr import ASR
from metavox.asr.auto import auto as auto_asr
from metavox.audio.files import SHORTEST, check_wave, read
from metavox.errors import ConfigError, MetavoxError
from metavox.evaluation.waveform import Clip
from metavox.features.frames import Features, at_rate
from metavox.pairing.base import Pairing
from metavox.runs import here, shipped
from metavox.synthesis.f0 import F0Statistics
from metavox.synthesis.pieces import LONG, cut
from metavox.synthesis.postfilter import RECORDED, SPOKEN
from metavox.synthesis.variance import GV
from metavox.synthesis.vocoders.auto import SILENT, best
from metavox.synthesis.vocoders.base import Vocoder
from metavox.synthesis.voice import StoredVoice
from metavox.translation.base import Translator
from metavox.translation.languages import language_of
from metavox.tts import TTS

log = logging.getLogger(__name__)

LOW = 155.0  # Hz, between the median pitches of most men and most women
REAL = 8  # recordings of the target that similarity is measured to, at most
HEARD = 3  # pieces of the source, and of the target, that a new voice is judged by
UNSHOWN = {"tts", "source_pitch", "language", "level", "verdict", "similarity"}
"""What a voice file holds and the report tells elsewhere."""
Paths = str | Path | Sequence[str | Path]
"""Recordings: a file, a folder, a pattern, or several of them."""
Wave = tuple[np.ndarray, int]
"""(wave [S] float32, rate in Hz)."""


class Run:
    """A trained run: makes voices. `checkpoint` is what was read of it."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    def __repr__(self) -> str:
        return f"Run({str(self.checkpoint.path)!r}, {type(self.checkpoint.algorithm).__name__})"

    @property
    def features(self) -> Features:
        """The frames that the run works on; `features.rate` is the rate in Hz of what its voices give."""
        return self.checkpoint.features

    def read(
        self, recordings: Paths, role: str = "source", texts: Texts | None = None, progress: Progress = silent,
        output: Path | None = None,
    ) -> Recordings:  # fmt: skip
        """Analyses recordings once, for `adapt` and `Voice.conversions`; `role` names them in messages.

        What lies in the folder `output`, and what earlier conversions have left below a folder, is not taken.

        Raises MetavoxError where a path leads nowhere, AudioError when none of the recordings can be used.
        """
        named = [
            str(Path(p).expanduser()) for p in ([recordings] if isinstance(recordings, str | Path) else recordings)
        ]
        names, results = without_results(find(named, role), named, output)
        usable, skipped = load(names, self.features, f"analysing {role}", progress)
        reasons = results | {str(path): reason for path, reason in skipped.items()}
        return Recordings(with_texts(usable, texts), reasons, f"recordings in {', '.join(named)}")

    def adapt(
        self, target: Paths | Recordings, source: Paths | Recordings | TTS | None = None, *,
        texts: Texts | None = None, shots: int | None = None, steps: int | str | None = None, lr: float | None = None,
        pairing: str = "auto", name: str | None = None, consent: str | None = None, language: str = "en-us",
        target_language: str | None = None, pairings: Callable[[str], Pairing] = pairing_named,
        asr: ASR | str | None = "auto", cache: Path | None = None,
        progress: Progress | None = None,
    ) -> "Voice":  # fmt: skip
        """A new voice from a few recordings of it.

        `target` names the recordings, `texts` what they say (else the text files beside them); `source` the recordings
        to map from, or a text-to-speech voice (None: the nearest). `shots` recordings are adapted on and the others
        check the result; None takes as many as the run was trained with, and all of them after the check. `steps` inner
        steps ("auto": chosen by leaving recordings out) are taken at the inner rate `lr`; None leaves these to the run.
        `pairing` is auto, parallel, tts, nearest or phone. `language` is what the voice
        will speak, `target_language` that of the target's `texts` (None: the same). `consent` is a note kept in the
        voice; `progress(title, share)` is told how far things are. Where a voice speaks, `asr` hears what recordings
        without a text say, and doubts texts that are not what it hears ("auto": Whisper, if it is on this machine); it
        keeps it in the folder `cache`.

        Raises MetavoxError (AudioError for recordings, ConfigError for settings): one sentence with the way out.
        """
        if name is not None and not is_plain_name(name):
            raise ConfigError(f"name is {name!r}; give a name, not a path")
        wishes = Wishes(shots, steps, lr, pairing, language, target_language or language, consent, pairings)
        told = progress or silent
        Thread(target=first_gradient, daemon=True).start()
        report = Report()
        recordings = target if isinstance(target, Recordings) else self.read(target, "target", texts, told)
        report.judge_all(recordings, "target", self.features)
        origin = self._source(source, target_language or language, recordings, report, told)
        heard = ""
        if not origin.recorded and pairing in ("auto", "tts"):
            ears = auto_asr() if asr == "auto" else asr
            if ears and not isinstance(ears, str):
                told("hearing the target", 0.0)
                report.warnings += doubts(recordings, ears, target_language or language, cache)
                recordings, heard = with_heard(recordings, ears, target_language or language, cache, report)
                told("hearing the target", 1.0)
        told("adapting", 0.0)
        stored = enrol(self.checkpoint, recordings, origin, wishes, report)
        voice = Voice(stored, self, name or name_of(recordings.usable), report)
        if not origin.recorded:
            voice.tts = origin.spoken.tts  # the very object: a voice file can name engines of metavox alone
        told("adapting", 0.5)
        voice.assess(origin.speech, recordings)
        told("adapting", 1.0)
        voice.report.run |= {"transcripts by machine": heard} if heard else {}
        return voice

    def _source(
        self, source: Paths | Recordings | TTS | None, language: str, target: Recordings, report: Report, told: Progress
    ) -> Source:  # fmt: skip
        if source is None:
            pieces = [Speech.of(r, self.features.rate) for r in target.usable]
            pitch, spectrum = F0Statistics.of(p.frames.f0 for p in pieces), mean_spectrum(pieces, self.features)
            source, why = nearest_tts(candidates(self.checkpoint), self.features, pitch, spectrum)
        elif isinstance(source, str | Path | Sequence | Recordings):
            read = source if isinstance(source, Recordings) else self.read(source, "source", None, told)
            report.judge_all(read, "source", self.features)
            speech = [Speech.of(r, self.features.rate) for r in read.usable]
            spoken = SpokenSource(candidates(self.checkpoint)[0], language, self.features)
            return Source(speech, spoken, True, read.description)
        else:
            why = ""
        spoken = SpokenSource(source, language, self.features)
        return Source(spoken.read_on(), spoken, False, spoken_by(source), why)


def load_run(run: str | Path, trust: bool = False) -> Run:
    """A run that comes with metavox by its name, or the run in a folder (or checkpoint file) of one's own.

    `trust` lets a checkpoint build classes that are not part of metavox. Raises MetavoxError where there is no usable
    run.
    """
    path = Path(run).expanduser()
    return Run(load_checkpoint(path if path.exists() else shipped().get(str(run), path), trust))


class Voice:
    """A voice adapted with a run: converts recordings, speaks texts, is saved and loaded.

    `report` says what was used, how good it is and what to be wary of; `tts` speaks what `speak` is given; `vocoder`
    and `gv` (the share of the target's covariance that results are given) can be replaced.
    """

    def __init__(self, stored: StoredVoice, run: Run, name: str, report: Report | None = None) -> None:
        self.stored, self.run, self.name, self.report = stored, run, name, report or Report()
        self.gv = GV(1.0)
        self._measured: tuple[TTS, F0Statistics, StoredVoice] | None = None  # by sentences that this TTS has read
        self.language = str(stored.provenance.get("language", "en-us"))
        self.vocoder: Vocoder | None = best(run.features)
        self.report.run = {"run": str(run.checkpoint.path), "algorithm": type(run.checkpoint.algorithm).__name__}
        self.report.voice = {k: v for k, v in stored.provenance.items() if k not in UNSHOWN}
        self.report.verdict = str(stored.provenance.get("verdict", ""))
        self.report.speaker_similarity = list(stored.provenance.get("similarity", []))

    def __repr__(self) -> str:
        return f"Voice({self.name!r}, of {self.run!r})"

    def save(self, path: str | Path) -> None:
        """One file that holds the voice, not its run. Raises MetavoxError when it cannot be written."""
        self.stored.save(path)

    @classmethod
    def load(cls, path: str | Path, run: Run | str | Path | None = None, trust: bool = False) -> "Voice":
        """A saved voice, with the run that it was adapted with; name `run` only where that has moved.

        Raises MetavoxError for what is not a voice file or where the run is missing, ConfigError for another run.
        """
        path = Path(path).expanduser()
        stored = StoredVoice.load(path)
        made_with = here(stored.checkpoint)
        if run is None and not made_with.exists():
            raise MetavoxError(
                f"voice {path} was adapted with the run {stored.checkpoint}, which is not there; name the folder that "
                "it has moved to, run=FOLDER"
            )
        found = run if isinstance(run, Run) else load_run(run or made_with, trust)
        if stored.sha256 != found.checkpoint.sha256 or stored.features != found.features.settings():
            raise ConfigError(
                f"voice {path} was adapted from another run ({stored.checkpoint}) than {found.checkpoint.path}; "
                "name its own with run=, or adapt again"
            )
        stored.check_fits(path, found.checkpoint.algorithm, found.features, found.checkpoint.normaliser)
        return cls(stored, found, path.stem)

    def convert(self, speech: str | Path | Wave) -> Wave:
        """A recording, or (wave [S], rate in Hz), in this voice -> (wave [S] float32, rate in Hz).

        Raises AudioError for what cannot be speech: missing, unreadable, silent, of another shape, not numbers.
        """
        features = self.run.features
        if isinstance(speech, str | Path):
            wave = read(Path(speech).expanduser(), features.rate)
        else:
            wave = np.asarray(at_rate(*check_wave(*speech), features.rate, SHORTEST))
        return self._heard(Speech.of_wave("wave", None, wave, features))

    def speak(self, text: str, language: str | None = None, speed: float = 1.0) -> Wave:
        """The text spoken in this voice -> (wave [S] float32, rate in Hz); `speed` 2 is twice as fast.

        Raises MetavoxError for a text with nothing to speak, ConfigError for an unknown language or speed.
        """
        if doubt := script_warning(text, language or self.language):
            log.warning("%s", doubt)
        return self._heard(self.say(text, language, speed), spoken=True)

    def say(self, text: str, language: str | None = None, speed: float = 1.0) -> Speech:
        """The text as the text-to-speech voice speaks it, before it is converted."""
        if not 0 < speed < 100:
            raise ConfigError(f"speed is {speed}; give a number above 0, 2 is twice as fast")
        tts = self.tts if speed == 1.0 else self.tts.at_speed(speed)
        return SpokenSource(tts, language or self.language, self.run.features).say(text, "speech")

    @cached_property
    def tts(self) -> TTS:
        """The text-to-speech voice that the voice was adapted from, or else the nearest; another one can be set."""
        stored = self.stored.provenance.get("tts")
        if stored:
            return tts_of(stored)
        return nearest_tts(candidates(self.run.checkpoint), self.run.features, self.stored.known.f0, None).tts

    def _spoken(self) -> tuple[F0Statistics, StoredVoice]:
        """The pitch of the text-to-speech voice, kept where that was the source and else of sentences that it reads,
        and what is stored, tuned to it where it was not the source."""
        if self.stored.provenance.get("tts") == plain_tts(self.tts):
            return F0Statistics(**self.stored.provenance["source_pitch"]), self.stored
        if self._measured is None or self._measured[0] is not self.tts:
            said = SpokenSource(self.tts, self.language, self.run.features).read_on()
            self._measured = self.tts, F0Statistics.of(s.frames.f0 for s in said), self._tuned_to(said, SPOKEN)
        return self._measured[1:]

    def _tuned_to(self, speech: Sequence[Speech], fast: float) -> StoredVoice:
        """What is stored, tuned to a minute, at most, of another source's speech, which keeps its changes within `fast`
        seconds."""
        known, left, run = [], LONG, self.run.checkpoint
        for piece in speech:
            if left > 0:
                known.append(cut(piece.frames, 0, left))
            left -= len(piece.frames)
        return self.stored.tuned_to(known, run.algorithm, run.features, run.normaliser, fast)

    def translate(
        self, recording: str | Path, target: str, output: str | Path, *, source: str | None = None,
        transcript: str | None = None, translation: str | None = None, asr: ASR | Callable[[], ASR] | None = None,
        translator: Translator | Callable[[], Translator] | None = None, fit: bool = False,
        cache: str | Path | None = None, name: str | None = None, progress: Progress = silent,
    ) -> Translated:  # fmt: skip
        """Says in the language `target`, in this voice, what a recording says in `source` (None: the voice's own).

        Writes NAME.TARGET.wav, NAME.SOURCE.txt and NAME.TARGET.txt to the folder `output` (`name`: the recording's).
        `asr` recognises and `translator` translates what `transcript`, `translation`, a text beside the recording, or
        one of those files, mended by a person, does not say already: engines, or what makes one when it is needed (a
        class). `fit` makes the result as long as the recording; `cache` keeps what was recognised and spoken for the
        next time.

        Raises MetavoxError (AudioError for the recording, ConfigError for languages): one sentence with the way out.
        """
        language = language_of(target)
        speak, tts = self._in_language(language)
        identity = {
            "voice": self.stored.provenance, "run": self.stored.sha256, "vocoder": type(self.vocoder).__name__,
            "gv": list(self.gv), "tts": tts.settings(), "language": language,
        }  # fmt: skip
        known = source or self.language
        with nullcontext(cache) if cache else TemporaryDirectory() as folder:
            kept = Path(folder).expanduser()
            job = SpeechTranslation(known, language, asr, translator, fit, kept if cache else None, progress)
            dubbing = Dubbing(speak, self.name, identity, kept, progress)
            path, there = Path(recording).expanduser(), Path(output).expanduser()
            done = job.run(path, there, dubbing, transcript, translation, name)
        done.spoken_by = f"{spoken_by(tts)} in {language}"
        if self.stored.provenance.get("tts") != plain_tts(tts):
            done.warnings.append(
                f"the voice was adapted from {self.stored.provenance['source']}, but the translation is spoken by "
                f"{done.spoken_by}: it sounds less like the target than a voice adapted from that"
            )
        return done

    def _in_language(self, language: str) -> tuple[Speak, TTS]:
        """How this voice speaks another language, and the text-to-speech voice that does."""
        if self.vocoder is None:
            raise ConfigError(SILENT)
        voice, f0 = copy(self), self.stored.known.f0
        voice.tts = tts_in(language, self.tts, not f0.frames or f0.median < LOW)

        def speak(text: str, speed: float) -> Wave:
            return voice._heard(voice.say(text, language, speed), spoken=True)

        return speak, voice.tts

    def assess(self, source: Sequence[Speech], target: Recordings) -> None:
        """Converts a little of the source and fills in the report's similarity and verdict; the voice keeps both."""
        features = self.run.features
        if self.vocoder is not None:
            some, _ = spread(source, HEARD)
            targets = [Speech.of(r, features.rate) for r in spread(target.usable, REAL)[0]]
            pitch = F0Statistics.of(piece.frames.f0 for piece in source)
            done = list(convert(self.stored, self.run.checkpoint, self.vocoder, self.gv, some, pitch))
            clips = {
                "target by the vocoder": [copy_synthesis(t, features, self.vocoder) for t in targets[:HEARD]],
                "output": [piece.wave for piece in done],
            }
            self.report.speaker_similarity = similarities(
                [Clip(t.wave()[:], features.rate) for t in targets],
                {name: [Clip(wave, features.rate) for wave in waves] for name, waves in clips.items()},
                [Clip(piece.copy_synthesis()[:], features.rate) for piece in done],
            )
        self.report.conclude()
        told = {"verdict": self.report.verdict, "similarity": self.report.speaker_similarity}
        self.stored = replace(self.stored, provenance={**self.stored.provenance, **told})

    def conversions(self, speech: Recordings | Sequence[Speech], spoken: bool = False) -> Iterator[Conversion]:
        """Converts several pieces of one voice: recordings, or what the text-to-speech voice says (`spoken`).

        The pitch of recordings is measured over them all, and the voice is tuned to them. Raises ConfigError where the
        frames of the run cannot be heard.
        """
        if self.vocoder is None:
            raise ConfigError(SILENT)
        rate = self.run.features.rate
        pieces = [Speech.of(r, rate) for r in speech.usable] if isinstance(speech, Recordings) else speech
        if spoken:
            pitch, stored = self._spoken()
        else:
            pitch, stored = F0Statistics.of(piece.frames.f0 for piece in pieces), self._tuned_to(pieces, RECORDED)
        return convert(stored, self.run.checkpoint, self.vocoder, self.gv, pieces, pitch)

    def _heard(self, piece: Speech, spoken: bool = False) -> Wave:
        (found,) = self.conversions([piece], spoken)
        return found.wave, self.run.features.rate


def is_plain_name(name: str) -> bool:
    """Whether a voice can be called that: a name, not a path, and short enough for file systems."""
    return name.strip(". ") != "" and not set(name) & set("/\\\0\n") and len(os.fsencode(f"{name}.voice")) < 240


def name_of(recordings: Sequence[Recording]) -> str:
    """A name for a voice: that of the folder its recordings lie in, or of the only recording."""
    path = recordings[0].path.resolve()
    return path.parent.name if len(recordings) > 1 and path.parent.name else path.stem
