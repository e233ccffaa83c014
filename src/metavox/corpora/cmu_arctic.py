"""CMU ARCTIC (Kominek and Black 2004): 1132 prompts that every one of 18 speakers has read. Parallel, 16 kHz."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from metavox.corpora.download import download
from metavox.corpora.layout import search, visible
from metavox.corpora.transcripts import read_lines
from metavox.corpora.utterance import Utterance
from metavox.errors import ConfigError, MetavoxError

log = logging.getLogger(__name__)

SEXES = {
    **dict.fromkeys(("axb", "clb", "eey", "ljm", "lnh", "slp", "slt"), "F"),
    **dict.fromkeys(("aew", "ahw", "aup", "awb", "bdl", "fem", "gka", "jmk", "ksp", "rms", "rxr"), "M"),
}
"""The speakers there are."""
FOLDER = re.compile(r"cmu_us_(\w+)_arctic")
LINE = re.compile(r'\(\s*(\S+)\s+"(.*)"\s*\)')
URL = "http://festvox.org/cmu_arctic/packed/cmu_us_{}_arctic.tar.bz2"
HOME = "ARCTIC"


class CmuArctic:
    """root/cmu_us_SPEAKER_arctic/wav/NAME.wav with etc/txt.done.data, as torchaudio's CMUARCTIC leaves it.

    `root` is the folder ARCTIC, or one at most three levels above the speakers' folders. `speakers`: which to read
    and, with `download`, to fetch; None for all that are present. `prompts`: only the first so many that a speaker
    has; None for all. A prompt without a recording, or a recording that no prompt names, is left out and counted.
    Raises ConfigError for a speaker that there is not.
    """

    name = "cmu_arctic"

    def __init__(
        self,
        root: str | Path,
        speakers: Sequence[str] | None = None,
        prompts: int | None = None,
        download: bool = False,
    ) -> None:
        unknown = sorted({*(speakers or ())} - {*SEXES})
        if unknown:
            raise ConfigError(f"CMU ARCTIC has no speaker {', '.join(unknown)}; there are {', '.join(sorted(SEXES))}")
        if prompts is not None and (type(prompts) is not int or prompts < 1):
            raise ConfigError(f"dataset.prompts is {prompts}; it must be a whole number of at least 1, or null")
        self.root, self.speakers, self.prompts, self.fetch = Path(root), speakers, prompts, download

    def prepare(self) -> None:
        """Downloads the listed speakers that are missing, if `download`. Raises MetavoxError without a network."""
        if not self.fetch:
            return
        if not self.speakers:
            raise ConfigError(
                f"whom of CMU ARCTIC to download? list dataset.speakers; there are {', '.join(sorted(SEXES))}"
            )
        for speaker in self.speakers:
            if not (self._home() / f"cmu_us_{speaker}_arctic").is_dir():
                _download(self._home(), speaker)

    def _home(self) -> Path:
        """The folder that holds those of the speakers."""
        inside = self.root.name == HOME or any(self.root.glob("cmu_us_*_arctic"))
        return self.root if inside else self.root / HOME

    def utterances(self) -> list[Utterance]:
        """All utterances, sorted by id. Raises MetavoxError when there is none, or a listed speaker is missing."""
        if not self.root.is_dir():
            raise MetavoxError(
                f"CMU ARCTIC folder {self.root} does not exist; set dataset.root, or dataset.download=true"
            )
        present: dict[str, Path] = {}
        for folder in search(self.root, lambda path: FOLDER.fullmatch(path.absolute().name) is not None):
            present.setdefault(FOLDER.sub(r"\1", folder.absolute().name), folder)
        missing = sorted({*(self.speakers or ())} - {*present})
        if missing:
            raise MetavoxError(f"{self.root} lacks {', '.join(missing)}; copy them there or set dataset.download=true")
        found = [u for speaker in self.speakers or present for u in self._read(speaker, present[speaker])]
        if not found:
            raise MetavoxError(
                f"{self.root} holds no recording laid out as cmu_us_SPEAKER_arctic/wav/*.wav with etc/txt.done.data; "
                "give the folder that holds cmu_us_SPEAKER_arctic as dataset.root"
            )
        return sorted(found, key=lambda utterance: utterance.id)

    def _read(self, speaker: str, folder: Path) -> list[Utterance]:
        listing = folder / "etc" / "txt.done.data"
        prompts = [match for line in read_lines(listing) if (match := LINE.fullmatch(line.strip()))]
        texts = {match[1]: match[2].replace('\\"', '"') for match in prompts}
        recorded = {path.stem: path for path in visible(folder / "wav", ".wav")}
        both = sorted(texts.keys() & recorded.keys())
        if alone := len(texts.keys() ^ recorded.keys()):
            log.warning("CMU ARCTIC %s: skipped %d prompts or recordings that have no counterpart", speaker, alone)
        sex = SEXES.get(speaker)
        return [Utterance(f"{speaker}/{n}", speaker, recorded[n], texts[n], sex=sex) for n in both[: self.prompts]]


def _download(home: Path, speaker: str) -> None:
    folder = f"{HOME}/cmu_us_{speaker}_arctic"  # as torchaudio unpacks it
    download(
        f"CMU ARCTIC {speaker}", URL.format(speaker), home, folder, [folder],
        lambda datasets, partial: datasets.CMUARCTIC(partial, url=speaker, download=True),
    )  # fmt: skip
