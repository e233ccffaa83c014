"""What adapt.py refuses before it reads a recording or writes a file."""

from collections.abc import Iterable
from pathlib import Path

from omegaconf import DictConfig

from metavox.adaptation.fitting import AUTO
from metavox.audio.whole import check_writable
from metavox.errors import ConfigError, MetavoxError
from metavox.experiments.checks import gv_of
from metavox.pairing.phones import pocketsphinx


def check(config: DictConfig) -> None:
    """Raises ConfigError for settings that contradict each other or are missing."""
    if not config.output:
        raise ConfigError("output is missing: name a folder for the results, output=FOLDER")
    _check_one_of(config, "source", "recordings to convert", "text", "a sentence to speak")
    _check_one_of(config, "target", "recordings of the voice to adapt to", "voice", "a voice file made before")
    if config.text is not None and not any(c.isalnum() for c in str(config.text)):
        raise ConfigError(f"nothing to speak in text={str(config.text)!r}: it holds no letter and no digit")
    if not config.run and not config.voice:
        raise ConfigError("run is missing: name the run folder of train.py, run=FOLDER")
    kind, known = config.pairing.get("_target_"), {p["_target_"]: name for name, p in config.pairings.items()}
    if kind and kind not in known:
        raise ConfigError(f"pairing by {kind} is for train.py; here it can be auto, {', '.join(known.values())}")
    if known.get(kind) == "phone" and not config.voice:
        _check_phones(str(config.language))
    gv_of(config)
    for key in ("shots", "steps", "lr"):
        if config[key] is not None:
            _check_number(key, config[key], bool(config.voice))


def _check_phones(language: str) -> None:
    if not language.startswith("en"):
        raise ConfigError(f"pairing=phone knows English only, not language={language}; use pairing=nearest")
    pocketsphinx()


def _check_one_of(config: DictConfig, first: str, meaning: str, second: str, other: str) -> None:
    given = [config[key] is not None and config[key] != [] for key in (first, second)]
    if sum(given) != 1:
        raise ConfigError(
            f"give {first}= ({meaning}) or {second}= ({other}), {'not both' if all(given) else 'one of the two'}"
        )


def _check_number(key: str, value: object, reused: bool) -> None:
    if reused:
        raise ConfigError(f"{key}= has no effect with voice=, nothing is adapted again; leave it out or give target=")
    if key == "steps" and value == AUTO:
        return
    wanted = {"shots": "a whole number of 1 or more", "steps": "a whole number of 0 or more, or auto",
              "lr": "a number above 0"}  # fmt: skip
    least = {"shots": 1, "steps": 0, "lr": 1e-12}[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < float("inf"):
        raise ConfigError(f"{key} is {value}; give {wanted[key]}")
    if key != "lr" and value != int(value):
        raise ConfigError(f"{key} is {value}; give {wanted[key]}")


def check_output(folder: Path, writes: Iterable[Path], reads: Iterable[Path]) -> None:
    """Raises MetavoxError when `folder` cannot be made or written, or when a result would replace an input."""
    check_writable(folder)
    inputs = {path.resolve() for path in reads}
    for path in writes:
        if path.resolve() in inputs:
            raise MetavoxError(f"the result {path} would replace the recording it is made from; choose another output")
