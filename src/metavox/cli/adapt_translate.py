"""adapt.py translate=: recordings in another language, from the settings of the command line."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from omegaconf import DictConfig

from metavox.adaptation.recordings import Progress
from metavox.adaptation.translate import check_given, check_languages
from metavox.adaptation.voice import Voice
from metavox.asr import ASR
from metavox.build import build
from metavox.corpora.transcripts import read
from metavox.errors import ConfigError, MetavoxError
from metavox.translation.base import Translator
from metavox.translation.languages import base, language_of
from metavox.tts import Espeak

log = logging.getLogger(__name__)
GIVEN = ("transcript", "translation")


def check_translation(config: DictConfig) -> None:
    """Raises ConfigError for settings of a translation that contradict each other."""
    if config.translate is None:
        without = [key for key in (*GIVEN, "fit") if config[key]]
        if without:
            raise ConfigError(f"{without[0]}= has no effect without translate=: name the language, translate=es")
    elif config.text is not None:
        raise ConfigError("translate= needs source=, a recording; for a text in another language give text= language=")
    elif not isinstance(config.translate, str) or not config.translate.strip():
        raise ConfigError(f"translate is {config.translate!r}; give a language, for example translate=es")
    else:
        check_languages(str(config.language), config.translate)
        Espeak(language_of(config.translate))  # whoever speaks it, espeak-ng does too
        for key in GIVEN:
            check_given(key, text_of(config[key]))


def ending(config: DictConfig) -> str:
    """What follows the name of a recording in that of its result."""
    return f".{base(config.translate)}.wav" if config.translate else ".wav"


def recogniser(config: DictConfig) -> ASR:
    """The recogniser of `asr`. Raises MetavoxError where `auto` finds none on this machine."""
    found = build(config.asr)
    if found is None:
        raise MetavoxError(
            "translate= needs a recogniser, and no Whisper model is on this machine: give asr=whisper, which fetches "
            'one (pip install -e ".[asr]"), or say what the recording says by transcript='
        )
    return cast(ASR, found)


def translate_all(
    config: DictConfig, voice: Voice, recordings: Mapping[Path, str], output: Path, progress: Progress
) -> None:
    """Translates recordings one after the other and lists them in the voice's report.

    One that fails is named there and does not end the others. Raises its error where all fail, ConfigError where a
    text is given for several.
    """
    given = {key: text_of(config[key]) for key in GIVEN}
    if len(recordings) > 1 and any(text is not None for text in given.values()):
        raise ConfigError(f"transcript= and translation= are of one recording, but source= names {len(recordings)}")
    report = voice.report
    for path, name in recordings.items():
        try:
            done = voice.translate(
                path, config.translate, output, name=name, **given, fit=config.fit, cache=str(config.cache),
                asr=(lambda: recogniser(config)) if config.asr else None,
                translator=lambda: cast(Translator, build(config.translator)), progress=progress,
            )  # fmt: skip
        except ConfigError:
            raise
        except MetavoxError as error:
            if len(recordings) == 1:
                raise
            log.warning("skipped: %s", error)
            report.skipped[str(path)] = str(error)
            continue
        report.translations.append({"source": name, **done.summary()})
        report.files.append({"source": name, "output": str(done.wave), "seconds": done.timing.result})
        report.warnings += [f"{name}: {warning}" for warning in done.warnings]
        log.info(
            "%s: read and mend %s, then run the same command again", name,
            " or ".join(str(text) for text in done.texts.values()),
        )  # fmt: skip
    if not report.files:
        raise MetavoxError(f"none of the recordings could be translated: {next(iter(report.skipped.values()))}")


def text_of(value: object) -> str | None:
    """A text that is given as it is, or by the name of a text file."""
    if value is None:
        return None
    text = str(value)
    path = Path(text).expanduser()
    return read(path) if path.suffix == ".txt" and path.is_file() else text
