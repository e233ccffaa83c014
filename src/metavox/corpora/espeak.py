"""A corpus made on the spot: the same sentences spoken by many different synthetic voices. Parallel, free, offline."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
import soxr

from metavox.audio.kept import is_kept, keep
from metavox.corpora.utterance import Utterance
from metavox.errors import ConfigError
from metavox.tts import TTS, voice_of
from metavox.tts.espeak import Espeak
from metavox.workers import parallel_map

RATE = 16000  # Hz of the files written

# espeak-ng's variants that could be people, women and men in turn, the most different first. Left out: whispers,
# croaks, robots, echoes, and variants that differ from another only by name.
TIMBRES = (
    *("f2", "m3", "Annie", "michel", "belinda", "m7", "Andrea", "gustave", "f1", "m1", "zac", "victor"),
    *("steph", "quincy", "f4", "Alex", "aunty", "m4", "shelby", "rob", "f3", "Gene", "f5", "m5"),
    *("grandma", "m2", "m6", "m8", "Denis", "Jacky", "Lee", "Mike", "Nguyen", "antonio", "boris"),
    *("ed", "edward", "ian", "john", "marcelo", "max", "paul", "pedro", "robert", "grandpa"),
)
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-gbclan", "en-us", "en-gb-x-rp", "en-029", "en-gb-x-gbcwmd")


class SyntheticSpeaker(NamedTuple):
    """The settings that make a voice; its name spells them all, so a file can never be another voice's."""

    timbre: str
    accent: str
    pitch: int
    speed: int  # words a minute
    pitch_range: int

    @property
    def name(self) -> str:
        return f"{self.timbre}_{self.accent}_p{self.pitch}_s{self.speed}_r{self.pitch_range}"

    def engine(self) -> Espeak:
        return Espeak(f"{self.accent}+{self.timbre}", self.pitch, self.speed, self.pitch_range)


class Speaker(NamedTuple):
    """A voice of the corpus; `name` is that of its folder."""

    name: str
    language: str
    tts: TTS


class Job(NamedTuple):
    speaker: Speaker
    text: str
    path: Path


class EspeakCorpus:
    """`sentences` parallel sentences by each of `voices` voices, generated into `root` as 16 kHz WAV files.

    `others` are voices of any engine beside espeak-ng's, in the short form of `metavox.tts.voice_of`. Asking for more
    voices or sentences keeps those that exist; another `seed` gives other pitches and speeds.
    Raises ConfigError when more is asked for than there is.
    """

    name = "espeak"

    def __init__(
        self, root: str | Path, voices: int = 24, sentences: int = 40, seed: int = 0, others: Sequence[str] = ()
    ) -> None:
        available = corpus_sentences()
        if not 1 <= sentences <= len(available):
            raise ConfigError(f"the espeak corpus has {len(available)} sentences, {sentences} were asked for")
        self.root = Path(root)
        self.speakers = [
            Speaker(drawn.name, drawn.accent, drawn.engine()) for drawn in synthetic_speakers(voices, seed)
        ]
        self.speakers += [Speaker(tts.name, "en-us", tts) for tts in map(voice_of, others)]
        self.sentences = available[:sentences]

    def _jobs(self) -> list[Job]:
        return [
            Job(speaker, text, self.root / speaker.name / f"{number:03d}-{crc32(text.encode()):08x}.wav")
            for speaker in self.speakers
            for number, text in enumerate(self.sentences, 1)
        ]

    def prepare(self) -> None:
        """Speaks what is missing or damaged, on all cores. Raises MetavoxError when `root` cannot be written."""
        missing = [job for job in self._jobs() if not is_kept(job.path)]
        for _ in parallel_map(_speak, missing, len(missing), "espeak corpus"):
            pass

    def utterances(self) -> list[Utterance]:
        """All utterances, sorted by id; `prepare` has made their files."""
        listed = [
            Utterance(f"{job.speaker.name}/{job.path.stem}", job.speaker.name, job.path, job.text, job.speaker.language)
            for job in self._jobs()
        ]
        return sorted(listed, key=lambda utterance: utterance.id)


def corpus_sentences() -> list[str]:
    """The corpus's own sentences, 8 or 9 words each, which together hold every English phoneme several times."""
    return (files("metavox.corpora") / "sentences.txt").read_text(encoding="utf-8").splitlines()


def synthetic_speakers(voices: int, seed: int = 0) -> list[SyntheticSpeaker]:
    """The first `voices` voices of the endless list that belongs to `seed`; the first 45 differ in timbre."""
    if not 1 <= voices <= len(TIMBRES) * len(ACCENTS):
        raise ConfigError(f"voices={voices}: the espeak corpus can have 1 to {len(TIMBRES) * len(ACCENTS)} voices")
    speakers = []
    for number in range(voices):
        lap, place = divmod(number, len(TIMBRES))
        draw = np.random.default_rng((seed, number))  # one generator a voice: a voice does not depend on the others
        speakers.append(
            SyntheticSpeaker(
                TIMBRES[place],
                ACCENTS[(place + lap) % len(ACCENTS)],
                pitch=int(draw.integers(42, 80)),  # lower, the deep voices fall under the usual F0 floor of 71 Hz
                speed=int(draw.integers(145, 191)),
                pitch_range=int(draw.integers(35, 71)),
            )
        )
    return speakers


def _speak(job: Job) -> None:
    wave, rate = job.speaker.tts.speak(job.text)
    keep(job.path, soxr.resample(wave, rate, RATE), RATE)
