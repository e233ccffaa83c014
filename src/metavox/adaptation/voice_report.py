"""The report of adapt.py: what was used, what it gave, what to be wary of. As JSON and to read."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from metavox.adaptation.quality import problems
from metavox.adaptation.recordings import TITLE, Recording, Recordings
from metavox.adaptation.verdict import verdict
from metavox.audio.whole import write_whole
from metavox.features.frames import Features

ENOUGH_VOICED = 10.0  # seconds; the pitch statistics of a voice are guesses below
NAMED = 3  # recordings that a warning names


@dataclass
class Report:
    """Filled while the work goes on, written at its end."""

    verdict: str = ""  # in plain words: is the voice good, what was it checked on, what to do
    run: dict[str, Any] = field(default_factory=dict)
    voice: dict[str, Any] = field(default_factory=dict)
    source: str = ""
    metrics: list[dict[str, Any]] = field(default_factory=list)
    f0: dict[str, float | None] = field(default_factory=dict)  # medians in Hz
    speaker_similarity: list[dict[str, Any]] = field(default_factory=list)  # empty where it was not measured
    files: list[dict[str, Any]] = field(default_factory=list)
    translations: list[dict[str, Any]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def judge_all(self, read: Recordings, role: str, features: Features) -> None:
        """As `judge`, and names what could not be used at all."""
        self.skipped |= read.skipped
        if read.skipped:
            self.warnings.append(f"{len(read.skipped)} {role} recordings are not used, see Skipped")
        self.judge(read.usable, role, features)

    def judge(self, recordings: Sequence[Recording], role: str, features: Features) -> None:
        """Adds a warning for everything that makes recordings worse than they could be, naming the first few."""
        found: dict[str, list[str]] = {}
        for recording in recordings:
            self.warnings += recording.quality.notes
            for problem in problems(recording.quality, features):
                found.setdefault(problem, []).append(recording.path.name)
        for problem, names in found.items():
            some = ", ".join(names[:NAMED]) + (" ..." if len(names) > NAMED else "")
            self.warnings.append(f"{len(names)} of {len(recordings)} {role} recordings ({some}) are {problem}")

    def conclude(self) -> None:
        """Fills in the verdict from what else is in the report."""
        self.verdict = verdict(self.speaker_similarity, self.metrics, self.voice, self.warnings)

    def judge_amount(self, recordings: Sequence[Recording]) -> None:
        """Adds a warning when the target has said too little."""
        voiced = sum(r.quality.voiced for r in recordings)
        if voiced < ENOUGH_VOICED:
            self.warnings.append(
                f"little speech: {voiced:.1f} s of the target are voiced, {ENOUGH_VOICED:.0f} s make its pitch reliable"
            )

    def write(self, folder: Path) -> None:
        """report.json and report.md. Raises MetavoxError when the folder cannot be written."""
        write_whole(
            folder / "report.json",
            json.dumps(asdict(self), indent=2, ensure_ascii=False).encode(errors="backslashreplace"),
        )
        write_whole(folder / "report.md", self.markdown().encode(errors="backslashreplace"))

    def markdown(self) -> str:
        """The report to read."""
        lines = [TITLE, "", *([self.verdict, ""] if self.verdict else []), *self._warnings(), "## What was used", ""]
        lines += [f"- {key}: {_text(value)}" for part in (self.run, self.voice) for key, value in part.items()]
        lines += [f"- converted: {self.source}", ""]
        if self.metrics:
            metric, convention = (self.metrics[0][key] for key in ("metric", "convention"))
            lines += ["## Adaptation", "", f"{metric.upper()} in dB by convention {convention}.", ""]
            lines += _table(self.metrics, ("pairs", "state", "frames", "loss", metric))
        if self.f0:
            lines += ["## Pitch", "", "Medians of the voiced frames in Hz; the output was analysed again.", ""]
            lines += _table([self.f0], ("source", "target", "output"))
        if self.speaker_similarity:
            lines += [
                "## Likeness",
                "",
                "Speaker similarity (SECS, Resemblyzer) to other recordings; 1 is the same.",
                "",
            ]
            lines += _table(self.speaker_similarity, ("speech", "to target", "to source"))
        if self.translations:
            lines += ["## Translation", "", "Seconds of the recording and of the result, and the speed of speech.", ""]
            columns = ("source", "source seconds", "seconds", "ratio", "speed", "spoken by", "unknown words")
            lines += _table(self.translations, columns)
        lines += ["## Files", ""]
        lines += _table(self.files, ("source", "output", "reference", "seconds", "f0_source", "f0_output"))
        if self.skipped:
            lines += ["## Skipped", "", *(f"- {reason}" for reason in self.skipped.values()), ""]
        return "\n".join(lines)

    def _warnings(self) -> list[str]:
        return ["## Warnings", "", *(f"- {warning}" for warning in self.warnings), ""] if self.warnings else []


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> list[str]:
    head = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    return [*head, *("| " + " | ".join(_text(row.get(c)) for c in columns) + " |" for row in rows), ""]


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, dict):  # a recording; report.json has its sha256
        return f"{value['path']} ({value['seconds']} s)"
    return "-" if value is None else str(value)
