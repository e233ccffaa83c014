"""A folder of voice files, NAME.voice each. A name is a name and never leads to another place."""

import os
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from metavox import Voice
from metavox.audio.whole import check_writable
from metavox.errors import ConfigError, MetavoxError
from metavox.serve.errors import NameTakenError, NoSuchVoiceError

SUFFIX = ".voice"
LONGEST = 60  # characters of a name: 240 bytes of UTF-8, and file systems take 255
BESIDE_LETTERS = " -_.'()"


@dataclass(frozen=True)
class Entry:
    """What the list of voices says of one. `problem` is why its file cannot be used, where it cannot."""

    name: str
    date: str = ""
    seconds: float = 0.0  # of the recordings it was adapted on
    similarity: float | None = None  # SECS to the person's other recordings
    consent: str | None = None
    verdict: str = ""
    warnings: tuple[str, ...] = ()
    problem: str | None = None


class Library:
    """The voices of one folder, which is made when the first is added. `load` reads a voice file.

    Raises MetavoxError when the folder cannot be written.
    """

    def __init__(self, folder: str | Path, load: Callable[[Path], Voice]) -> None:
        self.folder, self._read = Path(folder).expanduser().absolute(), load
        check_writable(self.folder)
        self._lock, self._making = threading.Lock(), set[str]()
        self._loaded: dict[Path, tuple[tuple[int, int], Voice]] = {}

    def names(self) -> list[str]:
        """All names, in the order of the alphabet."""
        return sorted(name for name in map(_name_of, self.folder.glob(f"*{SUFFIX}")) if name)

    def entries(self) -> list[Entry]:
        """What is known of every voice; one that cannot be loaded is listed with its problem."""
        found = []
        for name in self.names():
            try:
                found.append(describe(name, self.load(name)))
            except NoSuchVoiceError:  # deleted meanwhile
                continue
            except MetavoxError as error:
                found.append(Entry(name, problem=str(error)))
        return found

    def path(self, name: str) -> Path:
        """The file of a voice that is there. Raises NoSuchVoiceError for any other name."""
        key = _key(name)
        for own in self.names():
            if _key(own) == key:
                return self.folder / f"{own}{SUFFIX}"
        known = ", ".join(self.names()) or "none yet"
        raise NoSuchVoiceError(f"there is no voice {shown(name)}; there are: {known}")

    def load(self, name: str) -> Voice:
        """The voice of that name, from memory as long as its file does not change."""
        path = self.path(name)
        try:
            stamp = _stamp(path)
        except FileNotFoundError as error:
            raise NoSuchVoiceError(f"the voice {shown(name)} was deleted") from error
        kept = self._loaded.get(path)
        if kept is None or kept[0] != stamp:
            kept = self._loaded[path] = (stamp, self._read(path))
        return kept[1]

    def reserve(self, name: str) -> str:
        """Keeps a name from everybody else until `release` -> the name as it will be listed.

        Raises ConfigError for what cannot be a name, NameTakenError for one that is taken.
        """
        name = check_name(name)
        with self._lock:
            if _key(name) in self._making or _key(name) in map(_key, self.names()):
                raise NameTakenError(f"the name {shown(name)} is taken; choose another, or delete that voice first")
            self._making.add(_key(name))
        return name

    def release(self, name: str) -> None:
        """Ends what `reserve` began."""
        with self._lock:
            self._making.discard(_key(name))

    def add(self, name: str, voice: Voice) -> None:
        """Saves a voice under a name that was reserved. Raises MetavoxError when it cannot be written."""
        path = self.folder / f"{name}{SUFFIX}"
        voice.save(path)
        self._loaded[path] = (_stamp(path), voice)  # this one still knows the report of how it was made

    def rename(self, name: str, new: str) -> str:
        """Gives a voice another name -> the new one. Raises as `path` and `reserve` do."""
        path, new = self.path(name), check_name(new)
        respelled = _key(new) == _key(name)
        if not respelled:
            self.reserve(new)
        try:
            os.replace(path, self.folder / f"{new}{SUFFIX}")
        finally:
            if not respelled:
                self.release(new)
        if path in self._loaded:
            self._loaded[self.folder / f"{new}{SUFFIX}"] = self._loaded.pop(path)
        return new

    def delete(self, name: str) -> None:
        """Removes a voice for good, from the folder and from memory. Raises NoSuchVoiceError where it is not there."""
        path = self.path(name)
        path.unlink(missing_ok=True)
        self._loaded.pop(path, None)


def check_name(name: str) -> str:
    """A name as it is kept: composed Unicode, no space around it.

    Raises ConfigError for what is no name: empty, too long, with a slash, a control character or a dot in front.
    """
    name = unicodedata.normalize("NFC", name).strip()
    if not name:
        raise ConfigError("a voice needs a name")
    if len(name) > LONGEST:
        raise ConfigError(f"the name {shown(name[:20])}... has {len(name)} characters; {LONGEST} are the most")
    strange = next((c for c in name if not (unicodedata.category(c)[0] in "LMN" or c in BESIDE_LETTERS)), None)
    if strange or name.startswith(".") or not any(c.isalnum() for c in name):
        raise ConfigError(
            f"{shown(name)} cannot be the name of a voice; use letters, digits, spaces and any of {BESIDE_LETTERS[1:]}"
        )
    return name


def shown(name: str) -> str:
    """A name in a sentence: quoted, without control characters, no longer than a name can be."""
    return repr("".join(c if c.isprintable() else "?" for c in name[:LONGEST]))


def describe(name: str, voice: Voice) -> Entry:
    """What the list says of a voice."""
    known = voice.stored.provenance
    likeness = (row["to target"] for row in known.get("similarity", []) if row["speech"] == "output")
    return Entry(
        name, str(known.get("date", "")), round(sum(r["seconds"] for r in known.get("target", [])), 2),
        next(likeness, None), known.get("consent"), voice.report.verdict, tuple(voice.report.warnings),
    )  # fmt: skip


def _name_of(path: Path) -> str | None:
    """The name of a voice file; None for a file whose name could not have been given here."""
    try:
        return path.stem if check_name(path.stem) == path.stem else None
    except ConfigError:
        return None


def _stamp(path: Path) -> tuple[int, int]:
    """What tells a file from the one that it replaced."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _key(name: str) -> str:
    """What two names that a file system may take for one have in common."""
    return unicodedata.normalize("NFC", name).strip().casefold()
