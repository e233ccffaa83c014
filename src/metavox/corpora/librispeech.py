"""LibriSpeech (Panayotov et al. 2015) in its own layout: SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac.

LibriTTS (Zen et al. 2019) and the small LibriSpeech of OpenSLR 31 have the same folders and are read too.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from metavox.corpora.download import download
from metavox.corpora.layout import folders, recorded, search
from metavox.corpora.transcripts import read_lines, transcripts
from metavox.corpora.utterance import Utterance
from metavox.errors import ConfigError, MetavoxError

SUBSETS = (
    *("dev-clean", "dev-other", "test-clean", "test-other"),
    *("train-clean-100", "train-clean-360", "train-other-500"),
)
SPEAKERS = "SPEAKERS.TXT"


class LibriSpeech:
    """The whole corpus or any part of it.

    `root` is the folder LibriSpeech, one of its subsets, or a folder at most three levels above: archives that were
    unpacked within each other, or side by side, are found. `subsets`: a list of subset names, or a mapping as in the
    dataset config whose values may be such lists. Where nothing is listed, or `train` of a mapping is no list (numbers
    and shares are drawn from what it allows), all subsets that are present are read. `download` fetches the listed
    subsets that are missing.
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
        mapping = subsets if isinstance(subsets, Mapping) else {"train": subsets}
        parts = list(mapping.values())
        lists = [part for part in parts if isinstance(part, Sequence) and not isinstance(part, str)]
        self.listed = sorted({str(name) for part in lists for name in part})
        self.all_present = mapping.get("train") not in lists or not self.listed

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
        """Where subsets are downloaded to."""
        inside = self.root.name == "LibriSpeech" or any((self.root / name).is_dir() for name in SUBSETS)
        return self.root if inside else self.root / "LibriSpeech"

    def utterances(self) -> list[Utterance]:
        """All utterances of the subsets, sorted by id. Raises MetavoxError when there is none."""
        if not self.root.is_dir():
            raise MetavoxError(
                f"LibriSpeech folder {self.root} does not exist; set dataset.root, or dataset.download=true"
            )
        present: dict[str, Path] = {}
        for folder in search(self.root, _is_subset):
            present.setdefault(folder.absolute().name, folder)
        for subset in self.listed:
            if subset not in present:
                _check_name(subset)
                raise MetavoxError(f"subset {subset} is not in {self.root}; copy it there or set dataset.download=true")
        names = sorted(present) if self.all_present else self.listed
        sexes = _sexes({present[name].parent for name in names})
        found = [utterance for name in names for utterance in _read_subset(name, present[name], sexes)]
        if not found:
            raise MetavoxError(_nothing_in(self.root))
        return sorted(found, key=lambda utterance: utterance.id)


def _is_subset(folder: Path) -> bool:
    """Whether it holds SPEAKER/CHAPTER/recordings, both numbers."""
    chapters = (
        chapter
        for speaker in folders(folder)
        if speaker.name.isdigit()
        for chapter in folders(speaker)
        if chapter.name.isdigit()
    )
    return any(recorded(chapter) for chapter in chapters)


def _nothing_in(root: Path) -> str:
    """What is said where `root` holds no subset."""
    wanted = f"{root} holds no recording laid out as SUBSET/SPEAKER/CHAPTER/*.flac, SPEAKER and CHAPTER being numbers"
    if any(any(search(folder, lambda f: bool(recorded(f)))) for folder in folders(root)):
        return f"{wanted}; read another layout, one folder a speaker, by dataset=folder"
    return f"{wanted}; give the folder that holds {', '.join(SUBSETS[:2])} or other subsets as dataset.root"


def _sexes(homes: set[Path]) -> dict[str, str]:
    """SPEAKERS.TXT, lines of `reader | sex | ...` -> sex of each speaker; nothing where there is no such file."""
    listings = [home / SPEAKERS for home in sorted(homes) if (home / SPEAKERS).is_file()]
    lines = (line.split("|") for path in listings for line in read_lines(path) if not line.startswith(";"))
    return {fields[0].strip(): fields[1].strip() for fields in lines if len(fields) > 1}


def _read_subset(name: str, folder: Path, sexes: Mapping[str, str]) -> list[Utterance]:
    paths = [path for speaker in folders(folder) for chapter in folders(speaker) for path in recorded(chapter)]
    found = []
    for path, text in transcripts(paths).items():
        speaker = path.parent.parent.name
        found.append(Utterance(path.stem, speaker, path, text, subset=name, sex=sexes.get(speaker)))
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
