"""The fixed tasks of validation and test: which utterances each is made of, and which are adapted at once."""

from collections.abc import Sequence

import numpy as np

from metavox.pairing.base import SpeakerPair
from metavox.tasks.episodes import EpisodeInfo

TASKS = 6
"""Fixed tasks adapted at once ..."""
PAIRS = 60
"""... and their support pairs, so that many shots take no more memory."""


def draw_episode(voice: SpeakerPair, shots: int, queries: int, rng: np.random.Generator) -> EpisodeInfo:
    """`shots` support pairs and up to `queries` query pairs; the query from other chapters (folders) of the target, or
    else from other recordings, and from other recordings of the source, where there are any."""
    pairs = [voice.pairs[i] for i in rng.permutation(len(voice.pairs))]
    places = [(target.path.parent, target.path) for _, target in pairs]
    ranks = [list(dict.fromkeys(level)) for level in zip(*places, strict=True)]
    pairs.sort(key=lambda pair: (ranks[0].index(pair[1].path.parent), ranks[1].index(pair[1].path)))
    support, rest = pairs[:shots], pairs[shots:]
    heard = {source.path for source, _ in support}
    rest = [pair for pair in rest if pair[0].path not in heard] or rest
    for place in (lambda u: u.path.parent, lambda u: u.path):
        seen = {place(target) for _, target in support}
        query = [pair for pair in rest if place(pair[1]) not in seen]
        if query:
            break
    return EpisodeInfo(voice.source, voice.target, tuple(support), tuple((query or rest)[:queries]))


def batches(tasks: Sequence[EpisodeInfo], sizes: Sequence[int]) -> list[list[EpisodeInfo]]:
    """All tasks with a support of the first size, then all with the next: a batch has one K."""
    found: list[list[EpisodeInfo]] = []
    for shots in sizes:
        infos, count = [task.at(shots) for task in tasks], max(1, min(TASKS, PAIRS // shots))
        found += [infos[i : i + count] for i in range(0, len(infos), count)]
    return found
