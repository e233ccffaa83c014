"""What adapt.py refuses before it reads a recording or writes a file."""

from collections.abc import Iterable
from pathlib import Path

from omegaconf import DictConfig

from metavox.adaptation.enrolment import Wishes
from metavox.adaptation.voice import is_plain_name
from metavox.audio.whole import check_writable
from metavox.cli.adapt_translate import check_translation
from metavox.errors import ConfigError, MetavoxError
from metavox.experiments.checks import gv_of


def check(config: DictConfig) -> None:
    """Raises ConfigError for settings that contradict each other or are missing."""
    if not config.output:
        raise ConfigError("output is missing: name a folder for the results, output=FOLDER")
    _check_one_of(config, "source", "recordings to convert", "text", "a sentence to speak")
    check_translation(config)
    _check_one_of(config, "target", "recordings of the voice to adapt to", "voice", "a voice file made before")
    if config.text is not None and not any(c.isalnum() for c in str(config.text)):
        raise ConfigError(f"nothing to speak in text={str(config.text)!r}: it holds no letter and no digit")
    kind, known = config.pairing.get("_target_"), {p["_target_"]: name for name, p in config.pairings.items()}
    if kind and kind not in known:
        raise ConfigError(f"pairing by {kind} is for train.py; here it can be auto, {', '.join(known.values())}")
    if config.name is not None:
        check_name(str(config.name))
    gv_of(config)
    if config.name is not None and not is_plain_name(str(config.name)):
        raise ConfigError(
            f"name is {config.name}; give a name without / and \\, the file goes to the folder of output="
        )
    given = [key for key in ("shots", "steps", "lr") if config[key] is not None]
    if config.voice and given:
        raise ConfigError(
            f"{given[0]}= has no effect with voice=, nothing is adapted again; leave it out or give target="
        )
    if not config.voice:
        spoken = (str(config.language), str(config.target_language or config.language))
        Wishes(config.shots, config.steps, config.lr, known.get(kind, "auto"), *spoken)


def check_name(name: str) -> None:
    """Raises ConfigError for a name that is no file's within the output folder."""
    if name in ("", ".", "..") or set(name) & {"/", "\\"} or not name.isprintable() or len(name.encode()) > 200:
        raise ConfigError(f"name={name!r} cannot name a voice file; give a plain name, and the folder by output=")


def _check_one_of(config: DictConfig, first: str, meaning: str, second: str, other: str) -> None:
    given = [config[key] is not None and config[key] != [] for key in (first, second)]
    if sum(given) != 1:
        raise ConfigError(
            f"give {first}= ({meaning}) or {second}= ({other}), {'not both' if all(given) else 'one of the two'}"
        )


def check_output(folder: Path, writes: Iterable[Path], reads: Iterable[Path]) -> None:
    """Raises MetavoxError when `folder` cannot be made or written, or when a result would replace an input."""
    check_writable(folder)
    inputs = {path.resolve() for path in reads}
    for path in writes:
        if path.resolve() in inputs:
            raise MetavoxError(f"the result {path} would replace the recording it is made from; choose another output")
