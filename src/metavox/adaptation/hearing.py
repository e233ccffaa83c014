"""What recordings without a transcript say, by a recogniser: with words known, a text-to-speech voice can say them."""

from dataclasses import replace
from pathlib import Path

from metavox.adaptation.recordings import Recording, Recordings
from metavox.adaptation.voice_report import Report
from metavox.asr import ASR
from metavox.corpora.machine import MachineTranscripts
from metavox.corpora.utterance import Utterance
from metavox.errors import ConfigError


def with_heard(
    found: Recordings, asr: ASR, language: str, cache: Path | None, report: Report
) -> tuple[Recordings, str]:
    """The recordings with what `asr` hears in those that have no text, and a line that counts them, empty where there
    are none; a person's text is never replaced. What was heard is kept in the folder `cache`."""
    mute = [r for r in found.usable if not r.text]
    utterances = [Utterance(str(r.path), "target", r.path, language=language) for r in mute]
    try:
        heard = MachineTranscripts(asr, cache / "transcripts" if cache else None).hear(utterances)
    except ConfigError as error:  # another language than it knows
        report.warnings.append(f"{len(mute)} recordings stay without a transcript: {error}")
        return found, ""
    texts = {Path(id): transcript.text for id, transcript in heard.items() if transcript.text}
    engine = asr.settings()["engine"]
    if len(texts) < len(mute):
        silent = ", ".join(r.path.name for r in mute if r.path not in texts)
        report.warnings.append(f"{engine} heard no words in {silent}: is it speech, in {language}?")

    def told(recording: Recording) -> Recording:
        return replace(recording, text=texts[recording.path]) if recording.path in texts else recording

    line = f"{len(texts)} of {len(found.usable)} recordings, by {engine}" if texts else ""
    return replace(found, usable=[told(r) for r in found.usable]), line
