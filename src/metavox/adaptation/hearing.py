"""What recordings say, by a recogniser: those without a transcript can then be spoken, and the others be doubted."""

from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path
from textwrap import shorten

from metavox.adaptation.recordings import Recording, Recordings
from metavox.adaptation.support import spread
from metavox.adaptation.voice_report import Report
from metavox.asr import ASR
from metavox.corpora.machine import MachineTranscripts
from metavox.corpora.utterance import Utterance
from metavox.errors import ConfigError
from metavox.pairing.parallel import spoken

HEARD, LONG = 10, 30.0
"""Recordings whose transcripts are checked, at most, and the seconds from which one takes too long to hear."""
WORDS, SHARE = 6, 0.25
"""A transcript of so many words is doubted where less than this share of them is heard. Of 49 sentences of
LibriSpeech's test-other, heard by Whisper tiny.en, none has less than .43; with another's transcript one in 1,000 has
more than .25."""


def with_heard(
    found: Recordings, asr: ASR, language: str, cache: Path | None, report: Report
) -> tuple[Recordings, str]:
    """The recordings with what `asr` hears in those that have no text, and a line that counts them, empty where there
    are none; a person's text is never replaced. What was heard is kept in the folder `cache`."""
    mute = [r for r in found.usable if not r.text]
    try:
        heard = _hear(mute, asr, language, cache)
    except ConfigError as error:  # another language than it knows
        report.warnings.append(f"{len(mute)} recordings stay without a transcript: {error}")
        return found, ""
    texts = {path: text for path, text in heard.items() if text}
    engine = asr.settings()["engine"]
    if len(texts) < len(mute):
        silent = ", ".join(r.path.name for r in mute if r.path not in texts)
        report.warnings.append(f"{engine} heard no words in {silent}: is it speech, in {language}?")

    def told(recording: Recording) -> Recording:
        return replace(recording, text=texts[recording.path]) if recording.path in texts else recording

    line = f"{len(texts)} of {len(found.usable)} recordings, by {engine}" if texts else ""
    return replace(found, usable=[told(r) for r in found.usable]), line


def doubts(found: Recordings, asr: ASR, language: str, cache: Path | None) -> list[str]:
    """A sentence for each recording whose transcript, by a person, is not what `asr` hears: it may be another's. Where
    it knows another language only, or hears nothing, nothing is doubted."""
    told = [r for r in found.usable if len(spoken(r.text or "").split()) >= WORDS and r.quality.seconds < LONG]
    some, _ = spread(told, HEARD)
    try:
        heard = _hear(some, asr, language, cache)
    except ConfigError:
        return []
    return [
        f"{r.path.name}: its text is {_short(r.text or '')}, but {asr.settings()['engine']} hears "
        f"{_short(heard[r.path])}; mend the text, or take the recording away"
        for r in some if heard.get(r.path) and share_heard(r.text or "", heard[r.path]) < SHARE
    ]  # fmt: skip


def share_heard(text: str, heard: str) -> float:
    """The share of words, of the longer of the two, that both have in the same order."""
    left, right = spoken(text).split(), spoken(heard).split()
    same = SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks()
    return sum(block.size for block in same) / max(len(left), len(right), 1)


def _short(text: str) -> str:
    return f'"{shorten(text, 60, placeholder=" ...")}"'


def _hear(recordings: Sequence[Recording], asr: ASR, language: str, cache: Path | None) -> dict[Path, str]:
    """Recordings -> path -> what was heard."""
    utterances = [Utterance(str(r.path), "target", r.path, language=language) for r in recordings]
    heard = MachineTranscripts(asr, cache / "transcripts" if cache else None).hear(utterances)
    return {Path(id): transcript.text for id, transcript in heard.items()}
