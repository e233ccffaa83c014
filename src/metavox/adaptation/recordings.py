"""The recordings a user names: found, read, judged and turned into frames."""

import glob
import logging
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from metavox.adaptation.quality import Quality, measure, problems
from metavox.audio.decode import decode
from metavox.audio.files import recordings, resample
from metavox.audio.level import gain_to
from metavox.audio.samples import scaled
from metavox.corpora.transcripts import transcript
from metavox.errors import AudioError, MetavoxError
from metavox.features.frames import Features, Frames
from metavox.features.world import World
from metavox.runtime import cores

log = logging.getLogger(__name__)

TITLE = "# Voice conversion report"
"""The first line of a report; where one lies, so do results."""
LEVEL = -26.0
"""dB of full scale to which the speech of every recording is brought before it is analysed: the noise that the analysis
adds is then equally far below it. About that of LibriSpeech."""


@dataclass(frozen=True)
class Recording:
    path: Path
    name: str  # path below the folder that was named, without its suffix
    text: str | None
    frames: Frames
    quality: Quality
    gain: float  # by which it was brought to LEVEL


@dataclass(frozen=True)
class Recordings:
    """Recordings that were read, why others of those named could not be, and what they were named by."""

    usable: list[Recording]
    skipped: dict[str, str]
    description: str


Progress = Callable[[str, float], None]
"""Is told what is being done and which share of it is, from 0 to 1."""


def silent(title: str, share: float) -> None:
    """Tells nobody."""


Texts = Mapping[str, str] | Sequence[str]
"""What recordings say: by file name (with or without its folder), or one text for each in the order of the names."""


def find(paths: str | Sequence[str], what: str) -> dict[Path, str]:
    """Files, folders and glob patterns -> every recording with its name, sorted.

    Raises MetavoxError when a path or pattern leads to no recording; `what` says what they were wanted for.
    """
    found: dict[Path, str] = {}
    for entry in [paths] if isinstance(paths, str) else paths:
        matches = [entry] if Path(entry).exists() else sorted(glob.glob(entry, recursive=True)) or [entry]
        for match in map(Path, matches):
            try:
                inside = recordings(match)
            except MetavoxError as error:
                raise MetavoxError(f"{what}: {error}") from error
            base = match if match.is_dir() else match.parent
            found |= {path: path.relative_to(base).with_suffix("").as_posix() for path in inside}
    return _unique(found)


def without_results(
    names: Mapping[Path, str], named: Sequence[str], output: Path | None
) -> tuple[dict[Path, str], dict[str, str]]:
    """The recordings that no conversion has made, and why the others are left out.

    Those lie in the folder `output`, or in one below a folder that was `named`, with a report of a conversion in it.
    """
    roots = {Path(entry).resolve() for entry in named}
    kept, left_out = {}, {}
    for path, name in names.items():
        folders = path.resolve().parents
        below = next((i for i, folder in enumerate(folders) if folder in roots), 0)
        if (output is not None and output.resolve() in folders) or any(map(_is_report, folders[:below])):
            left_out[str(path)] = f"{path} was made by an earlier conversion, its report lies beside it; it is left out"
        else:
            kept[path] = name
    if names and not kept:
        raise MetavoxError(f"{', '.join(named)} holds nothing but results of earlier conversions; name recordings")
    return kept, left_out


def _is_report(folder: Path) -> bool:
    """Whether a report of a conversion lies in a folder."""
    try:
        with (folder / "report.md").open("rb") as file:
            return file.read(len(TITLE)) == TITLE.encode()
    except OSError:
        return False


def _unique(names: dict[Path, str]) -> dict[Path, str]:
    """Appends _2, _3 ... where two recordings would be written to one file: also where file systems see no difference
    of case or of Unicode form, and away from reference/, which belongs to copy-synthesis."""
    taken: set[str] = set()
    result = {}
    for path, name in sorted(names.items()):
        first, slash, _ = name.partition("/")
        name = f"_{name}" if slash and first.casefold() == "reference" else name
        free, number = name, 1
        while (key := unicodedata.normalize("NFC", free).casefold()) in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(key)
        result[path] = free
    return result


def load(
    names: dict[Path, str], features: Features, title: str, progress: Progress = silent
) -> tuple[list[Recording], dict[Path, str]]:
    """Analyses recordings on all cores, without aperiodicity -> those that can be used, why the others cannot.

    In threads, which start at once: WORLD runs without the interpreter's lock. Raises AudioError when none can be used.
    """
    longest_first = sorted(names.items(), key=_size, reverse=True)  # else all but one core wait for the last
    with ThreadPoolExecutor(cores()) as pool:
        found = pool.map(partial(_examine, features), longest_first)
        by_path = {}
        for number, ((path, _), result) in enumerate(zip(longest_first, found, strict=True), 1):
            by_path[path] = result
            progress(title, number / len(names))
    results = {path: by_path[path] for path in names}
    usable = [r for r in results.values() if isinstance(r, Recording)]
    skipped = {path: r for path, r in results.items() if isinstance(r, str)}
    for reason in skipped.values():
        log.warning("skipped: %s", reason)
    if not usable:
        raise AudioError(f"{title}: no recording can be used; {next(iter(skipped.values()))}")
    return usable, skipped


def judge(path: str | Path, features: Features | None = None) -> list[str]:
    """What is wrong with one recording, in plain words; nothing for a good one. The first sentence says why where it
    cannot be used at all."""
    features = features or World()
    found = _examine(features, (Path(path), Path(path).name))
    if isinstance(found, str):
        return [found]
    return [*found.quality.notes, *(f"{found.name} is {problem}" for problem in problems(found.quality, features))]


def with_texts(found: Sequence[Recording], texts: Texts | None) -> list[Recording]:
    """The recordings with what they are said to say, where that is known; it replaces transcripts beside them.

    Raises MetavoxError for a text of no recording, or for a list of another length.
    """
    if texts is None:
        return list(found)
    if not isinstance(texts, Mapping):
        if len(texts) != len(found):
            raise MetavoxError(f"{len(texts)} texts for {len(found)} recordings; give one each, or name them: a dict")
        return [replace(r, text=text or r.text) for r, text in zip(found, texts, strict=True)]
    keys = {key: r.path for r in found for key in (str(r.path), r.path.name, r.path.stem, r.name)}
    strange = [str(key) for key in texts if str(key) not in keys]
    if strange:
        raise MetavoxError(f"texts: no recording is called {strange[0]}; there are {', '.join(r.name for r in found)}")
    said = {keys[str(key)]: text for key, text in texts.items()}
    return [replace(r, text=said.get(r.path) or r.text) for r in found]


def _size(item: tuple[Path, str]) -> int:
    return item[0].stat().st_size if item[0].exists() else 0  # a link that leads nowhere


def _examine(features: Features, item: tuple[Path, str]) -> Recording | str:
    path, name = item
    try:
        sound = decode(path)
        wave = resample(path, sound, features.rate)
        gain = gain_to(LEVEL, wave, features.rate)
        level = scaled(wave, gain)
        frames = features.analyse(level, features.rate, aperiodicity=False)  # what is heard needs it
        return Recording(path, name, transcript(path), frames, measure(wave, frames, features, sound), gain)
    except AudioError as error:
        return str(error)
