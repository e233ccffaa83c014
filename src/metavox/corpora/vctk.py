"""VCTK 0.92 (Yamagishi et al. 2019): 110 speakers of English; sentences 001 to 024 are common to nearly all. 48 kHz."""

import logging
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from metavox.corpora.download import download
from metavox.corpora.layout import folders, recorded, search
from metavox.corpora.transcripts import read, read_lines, warn_of
from metavox.corpora.utterance import Utterance
from metavox.errors import AudioError, ConfigError, MetavoxError

log = logging.getLogger(__name__)

OLDER = "wav48"  # of VCTK 0.80
HOME, AUDIO, TEXT, SPEAKERS = "VCTK-Corpus-0.92", "wav48_silence_trimmed", "txt", "speaker-info.txt"
URL = "https://datashare.is.ed.ac.uk/bitstream/handle/10283/3443/VCTK-Corpus-0.92.zip"
MICROPHONES = ("mic1", "mic2")
LANGUAGES = {"American": "en-us", "Canadian": "en-us", "Scottish": "en-gb-scotland"}
"""espeak-ng's for an accent; the others are spoken to by British English."""


class Person(NamedTuple):
    sex: str | None = None
    accent: str | None = None


class VCTK:
    """root/wav48_silence_trimmed/SPEAKER/SPEAKER_NUMBER_MIC.flac with txt/SPEAKER/SPEAKER_NUMBER.txt.

    `root` is the folder VCTK-Corpus-0.92, or one at most three levels above. `microphone`: "mic2", or "mic1",
    which alone recorded p280 and p315; what was not recorded by it is left out and counted. p315 has no transcripts. A
    speaker's accent is the subset, which splits can name. Raises ConfigError for another microphone.
    """

    name = "vctk"

    def __init__(self, root: str | Path, microphone: str = "mic2", download: bool = False) -> None:
        if microphone not in MICROPHONES:
            raise ConfigError(f"dataset.microphone is {microphone!r}; VCTK has {' and '.join(MICROPHONES)}")
        self.root, self.microphone, self.fetch = Path(root), microphone, download

    def prepare(self) -> None:
        """Downloads the corpus if it is missing and `download`. Raises MetavoxError without a network."""
        if self.fetch and not (self._home() / AUDIO).is_dir():
            place = self.root.parent if self.root.name == HOME else self.root
            download(
                "VCTK", URL, place, HOME, [HOME], lambda datasets, part: datasets.VCTK_092(str(part), download=True)
            )

    def _home(self) -> Path:
        found = next(search(self.root, lambda folder: (folder / AUDIO).is_dir()), None)
        return found or (self.root if self.root.name == HOME else self.root / HOME)

    def utterances(self) -> list[Utterance]:
        """All utterances, sorted by id. Raises MetavoxError when there is none."""
        home, unread = self._home(), dict[Path, str]()
        people = _people(home / SPEAKERS)
        every = [path for speaker in folders(home / AUDIO) for path in recorded(speaker)]
        own = [path for path in every if path.stem.endswith(f"_{self.microphone}")]
        found = [self._utterance(home, path, people, unread) for path in own]
        if not found:
            raise MetavoxError(_nothing_in(self.root, self.microphone))
        warn_of(unread)
        self._report({_said(path) for path in every} - {u.id for u in found})
        if silent := Counter(u.speaker for u in found if not u.text):
            log.warning("VCTK: no transcripts for %s", _counts(silent))
        return sorted(found, key=lambda utterance: utterance.id)

    def _utterance(self, home: Path, path: Path, people: dict[str, Person], unread: dict[Path, str]) -> Utterance:
        name, speaker = _said(path), path.parent.name
        person = people.get(speaker, Person())
        listing, text = home / TEXT / speaker / f"{name}.txt", None
        try:
            text = " ".join(read(listing).split()) if listing.is_file() else None
        except AudioError as error:
            unread[listing] = str(error)
        language = LANGUAGES.get(person.accent or "", "en-gb")
        return Utterance(name, speaker, path, text or None, language, person.accent, sex=person.sex)

    def _report(self, missing: set[str]) -> None:
        if missing:
            counts = Counter(name.rpartition("_")[0] for name in missing)
            log.warning("VCTK: skipped recordings that %s did not make: %s", self.microphone, _counts(counts))


def _nothing_in(root: Path, microphone: str) -> str:
    """What is said where `root` holds no recording by `microphone`."""
    older = next(search(root, lambda folder: (folder / OLDER).is_dir()), None)
    if older is not None:
        return (
            f"{older / OLDER} is VCTK 0.80, whose recordings are not trimmed; get version 0.92 by "
            f"dataset.download=true, or read it without transcripts by dataset=folder dataset.root={older / OLDER}"
        )
    return (
        f"{root} holds no recording laid out as {AUDIO}/SPEAKER/SPEAKER_NUMBER_{microphone}.flac; give the folder that "
        f"holds {AUDIO} as dataset.root, or set dataset.download=true"
    )


def _said(path: Path) -> str:
    """SPEAKER_NUMBER of a recording."""
    return path.stem.rpartition("_")[0]


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count} of {speaker}" for speaker, count in sorted(counts.items()))


def _people(listing: Path) -> dict[str, Person]:
    """speaker-info.txt, lines of `ID AGE GENDER ACCENT ...` -> speakers; none where there is no such file."""
    lines = (line.split() for line in read_lines(listing)[1:]) if listing.is_file() else ()
    return {f[0]: Person(f[2] if f[2] in ("F", "M") else None, f[3]) for f in lines if len(f) > 3}
