"""Whether a voice is good, in plain words: from its similarity and from the recordings that were held out."""

from collections.abc import Mapping, Sequence
from typing import Any

GOOD, FAIR = 0.6, 0.3
"""Of the way from another speaker's similarity to that of the target's own recordings through the vocoder."""

TOLD_APART = 0.05
"""Of similarity; source and target that are closer are not told apart by it."""


def verdict(
    similarity: Sequence[Mapping[str, Any]], metrics: Sequence[Mapping[str, Any]], voice: Mapping[str, Any],
    warnings: Sequence[str],
) -> str:  # fmt: skip
    """Is the voice good, what was it checked on, what to do: three sentences or so."""
    return " ".join([_alike(similarity), _checked(metrics), _advice(voice, metrics, warnings)])


def _alike(similarity: Sequence[Mapping[str, Any]]) -> str:
    to_target = {row["speech"]: row["to target"] for row in similarity}
    own = to_target.get("target by the vocoder") or to_target.get("target recordings")
    other, output = to_target.get("source by the vocoder"), to_target.get("output")
    if output is None or own is None or other is None:
        return "How alike the voice is was not measured (it needs Resemblyzer and the target's recordings)."
    if own - other < TOLD_APART:
        return (
            f"Whether the voice is good does not show in its similarity to the target ({output:.2f}): source and "
            f"target are too much alike ({other:.2f}, and {own:.2f} for the target's own recordings)."
        )
    share = (output - other) / (own - other)
    word = (
        "good" if share >= GOOD else "fair: related, but not to be mistaken for the target" if share >= FAIR else "poor"
    )
    return (
        f"The voice is {word}. Its similarity to the target is {output:.2f}, where the target's own recordings have "
        f"{own:.2f} and the source, another speaker, has {other:.2f}."
    )


def _checked(metrics: Sequence[Mapping[str, Any]]) -> str:
    rows = {m["state"]: m for m in metrics if m["pairs"] == "held-out"}
    if not rows:
        return "No recording was held out, so the map was not checked on speech that it has not seen."
    metric = rows["adapted"]["metric"]
    before, after = rows["unconverted"][metric], rows["adapted"][metric]
    return (
        f"On held-out recordings its distance ({metric.upper()}) {'fell' if after < before else 'rose'} from "
        f"{before:.2f} to {after:.2f} dB by conversion."
    )


def _advice(voice: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]], warnings: Sequence[str]) -> str:
    said = " ".join(warnings)
    todo = [
        "record more speech" if "little speech" in said else "",
        "record in a quieter place" if "noisy" in said else "",
        "record at a lower level" if "clipped" in said else "",
        "mend the texts that are doubted" if "its text" in said else "",
        "put what is said into NAME.txt beside NAME.wav" if voice.get("pairing") == "nearest" else "",
        "" if any(m["pairs"] == "held-out" for m in metrics) else "give more recordings than are adapted on",
    ]
    wanted = [part for part in todo if part]
    return f"What would help: {'; '.join(wanted)}." if wanted else "Nothing is wrong with the recordings."
