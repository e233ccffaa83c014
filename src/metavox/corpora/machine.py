"""Transcripts by a recogniser, for recordings that no person has transcribed: made once, kept in a file."""

import hashlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from metavox.asr import ASR, Transcript, Word
from metavox.asr.base import RATE
from metavox.audio.files import read
from metavox.corpora.content import content
from metavox.corpora.utterance import Utterance
from metavox.errors import AudioError, MetavoxError

log = logging.getLogger(__name__)
Known = dict[tuple[str, str], Transcript]
"""By name and content: a recording that has changed is heard again."""


class MachineTranscripts:
    """What `asr` heard, in one file of lines under `root` for each setting of it, to which several processes may add;
    kept nowhere where `root` is None."""

    def __init__(self, asr: ASR, root: str | Path | None) -> None:
        settings = json.dumps(asr.settings(), sort_keys=True)
        digest = hashlib.sha256(settings.encode()).hexdigest()[:12]
        self.asr, self.file = asr, Path(root) / f"{asr.settings()['engine']}-{digest}.jsonl" if root else None

    def hear(self, utterances: Iterable[Utterance]) -> dict[str, Transcript]:
        """Utterances -> id -> what was heard. A recording that cannot be read is left out: analysis will name it.

        Raises ConfigError for a language that the recogniser does not know, MetavoxError where the file cannot be
        written.
        """
        known, found, missing = self._read(), {}, []
        for utterance in utterances:
            heard = known.get(_content(utterance)) or known.get(_dated(utterance))
            if heard:
                found[utterance.id] = heard
            else:
                missing.append(utterance)
        for utterance in tqdm(missing, desc="transcribing", dynamic_ncols=True, disable=not missing):
            try:
                wave = read(utterance.path, RATE, utterance.start, utterance.stop)
            except AudioError:
                continue
            found[utterance.id] = self.asr.transcribe(wave, RATE, utterance.language)
            self._add(utterance, found[utterance.id])
        return found

    def _read(self) -> Known:
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file and self.file.exists() else []
        known = {}
        for line in lines:
            try:
                row = json.loads(line)
                words = tuple(Word(*word) for word in row["words"])
                known[row["key"], str(row["file"])] = Transcript(row["text"], words)
            except (ValueError, KeyError, TypeError):  # torn by a kill: heard again
                continue
        return known

    def _add(self, utterance: Utterance, heard: Transcript) -> None:
        if self.file is None:
            return
        key, file = _content(utterance)
        row = {"key": key, "file": file, "text": heard.text, "words": heard.words}
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("ab") as out:
                out.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")  # in one piece
        except OSError as error:
            raise MetavoxError(f"cannot write {self.file}: {error.strerror}; free some space") from error


def _content(utterance: Utterance) -> tuple[str, str]:
    """What a recording is known by, wherever it lies: which pieces it is cut into must not hang on its folder."""
    path = utterance.path
    return f"{path.name}{_span(utterance)}", f"{_status(path)[0]} {content(path)}"


def _dated(utterance: Utterance) -> tuple[str, str]:
    """What lines are known by that an older metavox wrote."""
    return f"{utterance.path.resolve()}{_span(utterance)}", str(_status(utterance.path))


def _status(path: Path) -> list[int]:
    """Size and time of change; of a link that leads nowhere, which reading will name, [0, 0]."""
    try:
        status = path.stat()
    except OSError:
        return [0, 0]
    return [status.st_size, status.st_mtime_ns]


def _span(utterance: Utterance) -> str:
    span = f"#{utterance.start}-{utterance.stop}" if utterance.start or utterance.stop is not None else ""
    return f"{span}@{utterance.language}"
