"""How good the pairs are: what `pairs.csv` says of every two voices, and a line of the log of every split."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from metavox.pairing.phones import PHONES
from metavox.tasks.alignments import Alignments, Group

log = logging.getLogger(__name__)
SAMPLE = 2000
"""Rows of two voices, evenly spread, whose distance is measured."""
COLUMNS = (
    *("split", "source", "target", "pairs", "frames", "source_used", "target_used", "many_to_one", "cost", "distance"),
    *("source_phones", "target_phones", "same_phone"),
)


class Paired(NamedTuple):
    """What is paired between two voices."""

    source: str
    target: str
    groups: Sequence[Group]


def geometry(rows: np.ndarray, sources: int, targets: int) -> dict[str, float]:
    """rows [N, 2] frame numbers, each unique on its side; `sources`, `targets`: frames there are, silence included.

    `source_used`, `target_used`: share of them that is paired. `many_to_one`: share of the rows that take a frame, of
    either side, which a row before has taken.
    """
    first = [np.unique(side, return_index=True)[1] for side in rows.T]
    fresh = [np.isin(np.arange(len(rows)), index) for index in first]
    return {
        "frames": len(rows), "source_used": len(first[0]) / sources, "target_used": len(first[1]) / targets,
        "many_to_one": float(np.mean(~(fresh[0] & fresh[1]))),
    }  # fmt: skip


def distance_of_pairs(x: np.ndarray, y: np.ndarray, scale: np.ndarray) -> float:
    """Mean over rows of the root mean square difference of x [N, D] and y [N, D] in units of `scale` [D], the standard
    deviations of training speech: the same for all pairings and features, about 1.4 where nothing belongs together."""
    some = slice(None, None, -(-len(x) // SAMPLE))
    return float(np.sqrt((((x[some] - y[some]) / scale) ** 2).mean(axis=1)).mean())


def coverage(left: np.ndarray, right: np.ndarray) -> dict[str, float | None]:
    """The labels [N] of paired frames, -1 where unknown -> `source_phones`, `target_phones`: share of the 39 phones of
    English among them, `same_phone`: share of the rows that pair a phone with itself. None where nothing is known."""
    phones = [len(np.unique(side[side > 0])) / len(PHONES) or None for side in (left, right)]
    both = (left >= 0) & (right >= 0)
    same = float((left == right)[both].mean()) if both.any() else None
    return {"source_phones": phones[0], "target_phones": phones[1], "same_phone": same}


def quality(alignments: Alignments, paired: Paired, scale: np.ndarray, phones: bool) -> dict[str, Any]:
    """One row of pairs.csv without its split. `cost` is the pairing's own; the phones are None (blank) without
    `phones`, or where nothing is labelled."""
    store, columns = alignments.store, alignments.store.features.mapped
    sides = [{pair[s].id: pair[s] for group in paired.groups for pair in group} for s in (0, 1)]
    rows = np.concatenate([alignments.rows[a:b] for g in paired.groups for a, b in alignments.spans(g)])
    total = [sum(stop - start for start, stop in map(store.span, side.values())) for side in sides]
    spectrum, some = store.array("spectrum"), slice(None, None, -(-len(rows) // SAMPLE))
    x, y = (spectrum[rows[some, s]][:, columns] for s in (0, 1))
    labels = [alignments.labels.at(rows[:, s], sides[s]) for s in (0, 1)] if phones else [np.full(len(rows), -1)] * 2
    return {
        "source": paired.source, "target": paired.target, "pairs": sum(map(len, paired.groups)),
        **geometry(rows, *total), "cost": float(np.mean([alignments.cost(g) for g in paired.groups])),
        "distance": distance_of_pairs(x, y, scale), **coverage(*labels),
    }  # fmt: skip


def table(
    alignments: Alignments, splits: Mapping[str, Sequence[Paired]], scale: np.ndarray, phones: bool
) -> list[dict[str, Any]]:
    """The rows of pairs.csv: every two voices, then all of a split together (source and target "all")."""
    found: list[dict[str, Any]] = []
    for split, voices in splits.items():
        rows = [{"split": split, **quality(alignments, paired, scale, phones)} for paired in voices]
        found += [*rows, pool_rows(rows)]
        log.info("pairs for %s: %s", split, describe(found[-1], len(voices)))
    return found


def pool_rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sums of counts, and means weighted by frames of what is known."""
    total = {**rows[0], "source": "all", "target": "all", "pairs": 0, "frames": 0}
    for row in rows:
        total |= {name: total[name] + row[name] for name in ("pairs", "frames")}
    for name in COLUMNS[COLUMNS.index("source_used") :]:
        known = [row for row in rows if row[name] is not None]
        weights = [row["frames"] for row in known]
        total[name] = float(np.average([row[name] for row in known], weights=weights)) if known else None
    return total


def describe(row: Mapping[str, Any], voices: int) -> str:
    """A row of several voices as a line to read."""
    text = f"{voices} x 2 voices, {describe_pairs(row)}, distance {row['distance']:.2f}"
    if row["source_phones"] is None:
        return f"{text}; phones unknown (dataset.phones=true)"
    return f"{text}; {describe_phones(row)}"


def describe_phones(row: Mapping[str, Any]) -> str:
    """How many phones are paired, and how often with themselves, as words."""
    source, target, same = (row[name] or 0 for name in ("source_phones", "target_phones", "same_phone"))
    return f"phones {source:.0%} and {target:.0%}, {same:.0%} of the frames within one"


def describe_pairs(row: Mapping[str, Any]) -> str:
    """How much is paired, and how, as words."""
    return (
        f"{row['pairs']} utterance pairs, {row['frames']} frames, {row['source_used']:.0%} of the source's and "
        f"{row['target_used']:.0%} of the target's, {row['many_to_one']:.0%} many-to-one, cost {row['cost']:.2f}"
    )
