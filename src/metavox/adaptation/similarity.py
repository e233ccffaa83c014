"""Speaker similarity of converted speech, beside what real speech of the target and the unconverted source reach."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metavox.audio.files import read
from metavox.errors import MetavoxError
from metavox.evaluation.secs import RATE, Secs
from metavox.evaluation.waveform import Clip, EvaluatedUtterance

Row = dict[str, Any]
HEARD = 60.0
"""Seconds of an output, and of its reference, that are compared: the encoder holds all that it hears at once."""


def similarities(real: Sequence[Clip], said: Mapping[str, Sequence[Clip]], sources: Sequence[Clip]) -> list[Row]:
    """Rows "speech", "to target" and "to source": SECS of the target's `real` recordings, of the `sources` by the
    vocoder, and of what else was `said`.

    No clip is compared with itself: clip i of any kind that belongs to the source, not with source i; of "target by the
    vocoder", not with recording i. Empty without Resemblyzer.
    """
    try:
        secs = Secs()
    except MetavoxError:
        return []
    every = {
        "target recordings": [EvaluatedUtterance(c, _without(real, i), sources) for i, c in enumerate(real)],
        "source by the vocoder": [EvaluatedUtterance(c, real, _without(sources, i)) for i, c in enumerate(sources)],
    }
    for name, clips in said.items():
        own = name.startswith("target")
        every[name] = [
            EvaluatedUtterance(c, _without(real, i) if own else real, sources if own else _without(sources, i))
            for i, c in enumerate(clips)
        ]
    return [{"speech": name, **_row(secs, part)} for name, part in every.items() if part]


def speaker_similarity(targets: Sequence[Path], files: Sequence[Row], copies: Sequence[Clip] = ()) -> list[Row]:
    """SECS of the target's recordings, of the source through the vocoder alone and of the output; and of `copies`, the
    target's recordings through the vocoder, where given.

    `files` name an "output" each, and its "reference" where the source was converted; of these the first `HEARD`
    seconds count. Empty without Resemblyzer, or where the target's recordings are no longer there.
    """
    try:
        real = [Clip(read(path, RATE), RATE) for path in targets]
        sources, outputs = (
            [Clip(read(path, RATE, stop=HEARD), RATE) for path in paths]
            for paths in ([f["reference"] for f in files if "reference" in f], [f["output"] for f in files])
        )
    except MetavoxError:  # AudioError too
        return []
    return similarities(real, {**({"target by the vocoder": copies} if copies else {}), "output": outputs}, sources)


def _without(clips: Sequence[Clip], i: int) -> list[Clip]:
    return [*clips[:i], *clips[i + 1 :]]


def _row(secs: Secs, said: Sequence[EvaluatedUtterance]) -> dict[str, float | None]:
    """Means; None where there is nothing to compare with (JSON has no nan)."""
    values = {s.metric: None if s.value != s.value else s.value for s in secs(said)}
    return {"to target": values["secs"], "to source": values["source_secs"]}
