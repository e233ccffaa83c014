"""A text-to-speech voice says what the target said: parallel by construction, aligned by DTW."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metavox.audio.kept import is_kept, keep
from metavox.corpora.utterance import Utterance
from metavox.errors import ConfigError, MetavoxError
from metavox.pairing.base import Alignment, Labels, SpeakerPair, by_speaker, voice_pairs
from metavox.pairing.parallel import Parallel, spoken
from metavox.tts import TTS as Engine
from metavox.tts import spoken_key, voice_of
from metavox.workers import parallel_map

log = logging.getLogger(__name__)

FEW = 16
"""Below this many sentences (0.1 s each) one process is done before others have started."""


class TTS:
    """Sources are renderings of the targets' transcripts by `voices`, kept in the folder `root`: engines, or their
    short forms (`metavox.tts.voice_of`). One engine `tts` speaks in their place, where there is one.

    A target utterance without a transcript, or with one that cannot be spoken, is skipped and counted. `test_voices`
    (null: the same `voices`) speak for validation and test. `passes` and `anchor` are those of `Parallel`.
    """

    parallel = True
    pooled = False
    labelled = False

    def __init__(
        self, voices: Sequence[str | Engine], root: str | Path, passes: int = 0, anchor: float = 200.0,
        test_voices: Sequence[str | Engine] | None = None, tts: Engine | None = None,
    ) -> None:  # fmt: skip
        for key, listed in (("voices", voices), ("test_voices", voices if test_voices is None else test_voices)):
            if not listed:
                raise ConfigError(f"pairing.{key} is empty; name at least one voice, for example en-us+m3")
        training = [tts] if tts else [voice_of(voice) for voice in voices]
        held_out = training if test_voices is None else [voice_of(voice) for voice in test_voices]
        self.training, self.held_out = ([voice.name for voice in part] for part in (training, held_out))
        self.voices = {voice.name: voice for voice in (*training, *held_out)}
        self.root, self.by_text = Path(root), Parallel(passes, anchor)

    def speaker_pairs(
        self, sources: Sequence[Utterance], targets: Sequence[Utterance], limit: int | None = None, seed: int = 0,
        held_out: bool = False,
    ) -> list[SpeakerPair]:  # fmt: skip
        """Every voice with every target speaker; `sources` is ignored. Renders what the cache does not hold.

        Raises MetavoxError when no target has a transcript.
        """
        usable = [u for u in targets if u.text and spoken(u.text)]
        if not usable:
            raise MetavoxError(
                f"none of the {len(targets)} target recordings has a transcript, which pairing=tts needs; "
                "add transcripts or use pairing=nearest"
            )
        if len(usable) < len(targets):
            log.warning("pairing=tts: skipped %d of %d recordings without a transcript",
                        len(targets) - len(usable), len(targets))  # fmt: skip
        said = by_speaker(usable)
        voices = self.held_out if held_out else self.training

        def make(voice: str, target: str) -> SpeakerPair:
            return SpeakerPair(voice, target, tuple((self.rendering(voice, u), u) for u in said[target]))

        return self._rendered(voice_pairs(voices, said, make, limit, seed))

    def settings(self) -> dict[str, object]:
        return {**self.by_text.settings(), "pairing": "tts"}

    def align(
        self, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], labels: Labels | None = None
    ) -> list[Alignment]:
        return self.by_text.align(sources, targets)

    def rendering(self, voice: str, target: Utterance) -> Utterance:
        """The utterance by which `voice` says what `target` says; its recording need not exist yet."""
        key = spoken_key(self.voices[voice], target.text or "", target.language)
        path = self.root / voice / f"{key}.wav"
        return Utterance(f"{voice}/{key}", voice, path, target.text, target.language)

    def _rendered(self, found: list[SpeakerPair]) -> list[SpeakerPair]:
        """Renders what is missing; drops what cannot be rendered."""
        sources = {source.path: source for pair in found for source, _ in pair.pairs}
        failed = self.render(sources.values())
        for path, reason in failed.items():
            log.warning("pairing=tts: skipped %r: %s", sources[path].text, reason)
        said = [(p, tuple(pair for pair in p.pairs if pair[0].path not in failed)) for p in found]
        kept = [SpeakerPair(p.source, p.target, pairs) for p, pairs in said if pairs]
        if not kept:
            raise MetavoxError(f"none of the transcripts could be spoken: {next(iter(failed.values()))}")
        return kept

    def render(self, sources: Iterable[Utterance]) -> dict[Path, str]:
        """Speaks the utterances that have no recording yet, or a damaged one, in parallel; returns why some could not
        be, by path."""
        jobs = [
            Rendering(self.voices[s.speaker], s.text or "", s.language, s.path) for s in sources if not is_kept(s.path)
        ]
        workers = 1 if len(jobs) < FEW else None
        results = parallel_map(speak_to, jobs, len(jobs), "speaking transcripts", workers)
        return {job.path: reason for job, reason in zip(jobs, results, strict=True) if reason}


class Rendering(NamedTuple):
    """One sentence to speak into one file."""

    voice: Engine
    text: str
    language: str
    path: Path


def speak_to(job: Rendering) -> str | None:
    """Speaks one sentence; returns why it could not be."""
    try:
        wave, rate = job.voice.speak(job.text, job.language)
    except MetavoxError as error:
        return str(error)
    keep(job.path, wave, rate)
    return None
