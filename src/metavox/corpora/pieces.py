"""Long recordings as several utterances, for corpora with few but long recordings of a speaker."""

from dataclasses import replace

from metavox.audio.files import duration
from metavox.corpora.utterance import Corpus, Utterance
from metavox.errors import AudioError, ConfigError


class Pieces:
    """Another corpus, its recordings longer than `seconds` cut into pieces of that length.

    The rest at the end is a piece of its own if it lasts at least `minimum` seconds. Pieces have no transcript:
    the cuts fall anywhere. Decided from headers alone; a file without a readable header stays as it is.
    """

    def __init__(self, corpus: Corpus, seconds: float, minimum: float = 1.0) -> None:
        if not 0 < minimum <= seconds:
            raise ConfigError(f"pieces of {seconds} s with at least {minimum} s: choose 0 < minimum <= seconds")
        self.corpus, self.seconds, self.minimum = corpus, seconds, minimum
        self.name = corpus.name

    def prepare(self) -> None:
        """Prepares the corpus underneath."""
        self.corpus.prepare()

    def utterances(self) -> list[Utterance]:
        """All pieces, sorted by id."""
        pieces = [piece for utterance in self.corpus.utterances() for piece in self._cut(utterance)]
        return sorted(pieces, key=lambda utterance: utterance.id)

    def _cut(self, utterance: Utterance) -> list[Utterance]:
        try:
            end = utterance.stop or duration(utterance.path)
        except AudioError:
            return [utterance]  # feature extraction will name it and say why
        if end - utterance.start <= self.seconds:
            return [utterance]
        pieces: list[Utterance] = []
        start = utterance.start
        while end - start >= self.minimum - 1e-6:  # sums of seconds are not exact
            stop = min(start + self.seconds, end)
            pieces.append(replace(utterance, id=f"{utterance.id}@{len(pieces):03d}", text=None, start=start, stop=stop))
            start = stop
        return pieces
