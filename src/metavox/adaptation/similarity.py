"""Speaker similarity of converted files, beside what real speech of the target and the unconverted source reach."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metavox.audio.files import read
from metavox.errors import MetavoxError
from metavox.evaluation.secs import RATE, Secs
from metavox.evaluation.waveform import Clip, EvaluatedUtterance


def speaker_similarity(targets: Sequence[Path], files: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """SECS of the target's recordings, of the source through the vocoder alone and of the output.

    `files` name an "output" each, and its "reference" where the source was converted. No recording is compared with
    itself, nor with its own conversion. None without Resemblyzer, or where the target's recordings are no longer there.
    """
    try:
        secs = Secs()
        real, sources, outputs = (
            [Clip(read(path, RATE), RATE) for path in paths]
            for paths in (targets, [f["reference"] for f in files if "reference" in f], [f["output"] for f in files])
        )
    except MetavoxError:  # AudioError too
        return []
    said = {
        "target recordings": [EvaluatedUtterance(c, _without(real, i), sources) for i, c in enumerate(real)],
        "source by the vocoder": [EvaluatedUtterance(c, real, _without(sources, i)) for i, c in enumerate(sources)],
        "output": [EvaluatedUtterance(c, real, _without(sources, i)) for i, c in enumerate(outputs)],
    }
    return [{"speech": name, **_row(secs, part)} for name, part in said.items() if part]


def _without(clips: Sequence[Clip], i: int) -> list[Clip]:
    return [*clips[:i], *clips[i + 1 :]]


def _row(secs: Secs, said: Sequence[EvaluatedUtterance]) -> dict[str, float | None]:
    """Means; None where there is nothing to compare with (JSON has no nan)."""
    values = {s.metric: None if s.value != s.value else s.value for s in secs(said)}
    return {"to target": values["secs"], "to source": values["source_secs"]}
