"""LibriSpeech (Panayotov et al. 2015) in its own layout: SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from metavox.corpora.download import download
from metavox.corpora.transcripts import parse_transcripts, read
from metavox.corpora.utterance import Utterance
from metavox.errors import ConfigError, MetavoxError

SUBSETS = (
    *("dev-clean", "dev-other", "test-clean", "test-other"),
    *("train-clean-100", "train-clean-360", "train-other-500"),
)
SPEAKERS = "SPEAKERS.TXT"


class LibriSpeech:
    """The whole corpus or any part of it.

    `root` is the folder LibriSpeech or its parent. `subsets`: a list of subset names, or a mapping as in the dataset
    config whose values may be such lists; where nothing is listed, or a value of the mapping is not a list, all
    subsets that are present are read. `download` fetches the listed subsets that are missing.
    Raises ConfigError for a subset that LibriSpeech does not have.
    """

    name = "librispeech"

    def __init__(
        self,
        root: str | Path,
        subsets: Sequence[str] | Mapping[str, object] | None = None,
        download: bool = False,
    ) -> None:
        self.root, self.download = Path(root), download
        parts = list(subsets.values()) if isinstance(subsets, Mapping) else [subsets]
        lists = [part for part in parts if isinstance(part, Sequence) and not isinstance(part, str)]
        self.listed = sorted({str(name) for part in lists for name in part})
        self.all_present = len(lists) < len(parts) or not self.listed

    def prepare(self) -> None:
        """Downloads what is missing of the listed subsets, if `download`. Raises MetavoxError without a network."""
        if not self.download:
            return
        if not self.listed:
            raise ConfigError(f"which part of LibriSpeech to download? list subsets; there are {', '.join(SUBSETS)}")
        for subset in self.listed:
            if not (self._home() / subset).is_dir():
                _check_name(subset)
                _download(self._home(), subset)

    def _home(self) -> Path:
        """The folder that holds the subsets."""
        if self.root.name == "LibriSpeech" or any((self.root / name).is_dir() for name in SUBSETS):
            return self.root
        return self.root / "LibriSpeech"

    def utterances(self) -> list[Utterance]:
        """All utterances of the subsets, sorted by id. Raises MetavoxError when there is none."""
        if not self.root.is_dir():
            raise MetavoxError(
                f"LibriSpeech folder {self.root} does not exist; set dataset.root, or dataset.download=true"
            )
        home = self._home()
        for subset in self.listed:
            if not (home / subset).is_dir():
                _check_name(subset)
                raise MetavoxError(f"subset {subset} is not in {home}; copy it there or set dataset.download=true")
        names = self.listed
        if self.all_present:
            names = sorted({*self.listed, *(name for name in SUBSETS if (home / name).is_dir())})
        sexes = _sexes(home / SPEAKERS)
        found = [utterance for name in names for utterance in _read_subset(home / name, sexes)]
        if not found:
            raise MetavoxError(
                f"{self.root} holds no recording laid out as SUBSET/SPEAKER/CHAPTER/*.flac with a subset of "
                f"{', '.join(SUBSETS)}; set dataset.root to the folder LibriSpeech"
            )
        return sorted(found, key=lambda utterance: utterance.id)


def _sexes(listing: Path) -> dict[str, str]:
    """SPEAKERS.TXT, lines of `reader | sex | ...` -> sex of each speaker; nothing where there is no such file."""
    if not listing.is_file():
        return {}
    lines = (line.split("|") for line in read(listing).splitlines() if not line.startswith(";"))
    return {fields[0].strip(): fields[1].strip() for fields in lines if len(fields) > 1}


def _read_subset(folder: Path, sexes: Mapping[str, str]) -> list[Utterance]:
    found = []
    for chapter in sorted(folder.glob("*/*")):
        recordings = sorted(chapter.glob("*.flac"))
        texts: dict[str, str] = {}
        for transcript in chapter.glob("*.trans.txt") if recordings else ():
            texts |= parse_transcripts(read(transcript).splitlines())
        speaker = chapter.parent.name
        sex = sexes.get(speaker)
        found += [Utterance(p.stem, speaker, p, texts.get(p.stem), subset=folder.name, sex=sex) for p in recordings]
    return found


def _check_name(subset: str) -> None:
    if subset not in SUBSETS:
        raise ConfigError(f"LibriSpeech has no subset {subset!r}; there are {', '.join(SUBSETS)}")


def _download(home: Path, subset: str) -> None:
    download(
        f"LibriSpeech {subset}", f"https://www.openslr.org/resources/12/{subset}.tar.gz", home, "LibriSpeech",
        [f"LibriSpeech/{subset}", f"LibriSpeech/{SPEAKERS}"],
        lambda datasets, partial: datasets.LIBRISPEECH(partial, url=subset, download=True),
    )  # fmt: skip
