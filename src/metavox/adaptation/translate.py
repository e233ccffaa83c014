"""Speech in one language to speech in another: recognise, translate, speak, in one voice.

Every text on the way is kept in a file; a text that is given, or that a person has mended there, takes the place of
what the machine would say.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from metavox.adaptation.dub import LONGEST, SHORTEST, Dubbing, Timing
from metavox.adaptation.recognise import Line, recognise
from metavox.adaptation.recordings import Progress, silent
from metavox.adaptation.texts import TextFiles
from metavox.asr import ASR
from metavox.audio.files import duration, seekable
from metavox.corpora.transcripts import transcript as beside
from metavox.errors import ConfigError, MetavoxError
from metavox.synthesis.sealed import sha256
from metavox.translation.base import Translation, Translator, has_words, translate_lines
from metavox.translation.languages import base
from metavox.translation.text import restore, sentences

log = logging.getLogger(__name__)

MANY = 0.25  # share of unknown words above which a text is hardly in the language that it is taken for
MISSED = 0.05  # share of the recording's length by which a fitted result may miss without a warning


@dataclass
class Translated:
    """A translated recording: the files, the sentences in both languages, what was not known, and how long it is."""

    wave: Path
    texts: dict[str, Path]
    made_by: dict[str, str]  # language -> where its text comes from
    lines: list[Line]  # of the recording; empty where only the translation was given
    translations: list[str]
    unknown: list[str]
    timing: Timing
    spoken_by: str = ""
    warnings: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, object]:
        """Plain values for a report."""
        return {
            "output": str(self.wave), "spoken by": self.spoken_by, "texts are": self.made_by,
            "texts": {language: str(path) for language, path in self.texts.items()}, "unknown words": self.unknown,
            "seconds": self.timing.result, "source seconds": self.timing.source, "ratio": self.timing.ratio,
            "speed": self.timing.speed,
        }  # fmt: skip


def check_languages(source: str, target: str) -> None:
    """Raises ConfigError where both are one."""
    if base(source) == base(target):
        raise ConfigError(
            f"translate={target} is the language of the recording already (language={source}); "
            "name another, or convert without translate="
        )


def check_given(key: str, text: str | None) -> None:
    """Raises ConfigError for a text that is given and says nothing."""
    if text is not None and not has_words(text):
        raise ConfigError(f"{key} has no words: {text!r}; leave it out, or write what is said")


@dataclass(frozen=True)
class SpeechTranslation:
    """From the language `source` to `target` by a recogniser and a translator: engines, or what makes them when they
    are needed, or None where texts are given.

    `cache` keeps what was recognised and `fit` makes a result as long as its recording. Raises ConfigError where both
    languages are one, or for a pair that the translator does not have.
    """

    source: str
    target: str
    asr: ASR | Callable[[], ASR] | None = None
    translator: Translator | Callable[[], Translator] | None = None
    fit: bool = False
    cache: Path | None = None
    progress: Progress = silent

    def __post_init__(self) -> None:
        check_languages(self.source, self.target)

    def run(
        self, recording: Path, output: Path, dubbing: Dubbing, transcript: str | None = None,
        translation: str | None = None, name: str | None = None,
    ) -> Translated:  # fmt: skip
        """Writes NAME.TARGET.wav and the texts NAME.SOURCE.txt and NAME.TARGET.txt to the folder `output`, NAME being
        `name` or the recording's.

        `transcript` is what the recording says, `translation` the same in the target language: neither is then made by
        machine. Raises MetavoxError where nothing is said or an engine fails; texts made until then are there.
        """
        name = name or recording.stem
        files, warnings = TextFiles(output, name, sha256(recording)), list[str]()
        here, there = base(self.source), base(self.target)
        made_by: dict[str, str] = {}
        if transcript is not None and translation is None and files.mended(there):
            raise ConfigError(
                f"{files.path(there)} was written by a person and would be passed over: "
                "leave transcript= out, or move that file away"
            )
        given, made_by[there] = self._given(files, there, "translation", translation)
        lines: list[Line] = []
        spoken: Sequence[str] = given or []
        if given is None:
            translator = self._translator()
            lines, made_by[here] = self._lines(recording, files, transcript, warnings)
            files.keep_times(lines)
            self._keep(files, here, [line.text for line in lines], warnings)
            spoken = self._translate(translator, [line.text for line in lines], warnings)
            made_by[there] = str(translator.settings()["translator"])
        self._keep(files, there, spoken, warnings)
        path = output / f"{name}.{there}.wav"
        timing = dubbing.dub(path, files.timed(spoken), duration(recording), self.fit)
        warnings += self._judge_timing(timing)
        unknown = list(dict.fromkeys(w for text in spoken if isinstance(text, Translation) for w in text.unknown))
        texts = {language: files.path(language) for language in made_by}
        return Translated(path, texts, made_by, lines, list(spoken), unknown, timing, warnings=warnings)

    def _keep(self, files: TextFiles, language: str, lines: Sequence[str], warnings: list[str]) -> None:
        if not files.keep(language, lines):
            warnings.append(f"{files.path(language)} was written by a person and stays; this result has another text")

    def _given(self, files: TextFiles, language: str, key: str, text: str | None) -> tuple[list[str] | None, str]:
        """The sentences that need no machine, and where they come from."""
        if text is not None:
            check_given(key, text)
            return sentences(text), f"given by {key}="
        mended = files.mended(language)
        if mended is not None:
            log.info("taking the text of %s as a person left it", files.path(language))
        return mended, f"{files.path(language).name}, by a person"

    def _lines(
        self, recording: Path, files: TextFiles, transcript: str | None, warnings: list[str]
    ) -> tuple[list[Line], str]:
        """What the recording says, and who says so."""
        given, by = self._given(files, base(self.source), "transcript", transcript)
        if given is None and (text := beside(recording)):
            given, by = sentences(restore(text, self.source)), "the text beside the recording"
        if given is not None:
            return files.timed(given), by
        if self.asr is None:
            raise MetavoxError(
                f"{recording} has no transcript: give transcript=, a text file beside it, or a recogniser, asr=whisper"
            )
        asr = self.asr() if callable(self.asr) else self.asr
        with seekable(recording) as sound:
            lines, problems = recognise(sound, asr, self.source, self.cache, self.progress)
        warnings += [problem.replace(str(sound), str(recording)) for problem in problems]
        return lines, f"recognised by {asr.settings()['engine']}"

    def _translator(self) -> Translator:
        """The translator; raises ConfigError for a pair that it does not have, before anything is recognised."""
        if self.translator is None:
            raise MetavoxError("no translator and no translation: give translation=, or translator=apertium")
        translator = self.translator() if callable(self.translator) else self.translator
        translator.check(self.source, self.target)
        return translator

    def _translate(self, translator: Translator, texts: Sequence[str], warnings: list[str]) -> list[Translation]:
        self.progress("translating", 0.0)
        found = translate_lines(translator, texts, self.source, self.target)
        self.progress("translating", 1.0)
        unknown = [word for text in found for word in text.unknown]
        if unknown:
            some = ", ".join(dict.fromkeys(unknown[:8]))
            warnings.append(f"{len(unknown)} word(s) that the translator does not know are spoken as they are: {some}")
        if len(unknown) > MANY * sum(len(text.split()) for text in texts):
            warnings.append(f"a good part of the text is unknown to the translator: is it in language={self.source}?")
        return found

    def _judge_timing(self, timing: Timing) -> list[str]:
        if not self.fit or abs(timing.ratio - 1) <= MISSED:
            return []
        return [
            f"the translation takes {timing.result:.1f} s where the recording takes {timing.source:.1f} s: speech is "
            f"pressed and stretched to {SHORTEST} to {LONGEST} of its length and no further"
        ]
