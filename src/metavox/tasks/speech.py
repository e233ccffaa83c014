"""Speech tasks as a LightningDataModule: corpus -> features -> pairs -> episodes."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from metavox.corpora.pieces import Pieces
from metavox.corpora.utterance import Corpus, Utterance
from metavox.errors import ConfigError, MetavoxError
from metavox.features.frames import Features
from metavox.features.store import FeatureStore
from metavox.pairing.base import Pairing, SpeakerPair
from metavox.tasks.alignments import Alignments, Group, speech_frames
from metavox.tasks.batch import Pairs, TaskBatch
from metavox.tasks.episodes import EpisodeInfo, Episodes, EpisodeSampler, TaskTable, pad
from metavox.tasks.normaliser import Normaliser
from metavox.tasks.split import SpeakerSplit

log = logging.getLogger(__name__)
UtterancePair = tuple[Utterance, Utterance]


class SpeechTasks(pl.LightningDataModule):
    """Tasks between voices.

    Args:
        corpus, features, pairing, split: what the tasks are made of.
        cache: folder of the feature store.
        shots: K support pairs of every task, in training and in testing.
        queries: query pairs of a training episode.
        frames: T, length of a training segment in frames.
        meta_batch: tasks of one outer step.
        steps_per_epoch: outer steps between validations.
        voice_pairs: at most this many (source, target) voices are drawn for training.
        validation_tasks, test_tasks: at most this many fixed tasks; each is scored on up to `test_queries` utterances.
        pieces: cut recordings into pieces of this many seconds (for corpora with one long recording a speaker).
    """

    def __init__(
        self, corpus: Corpus, features: Features, pairing: Pairing, split: SpeakerSplit, cache: str, shots: int = 5,
        queries: int = 5, frames: int = 64, meta_batch: int = 16, steps_per_epoch: int = 100, voice_pairs: int = 100,
        validation_tasks: int = 8, test_tasks: int = 24, test_queries: int = 4, pieces: float | None = None,
        seed: int = 0, workers: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        for name, value in (("shots", shots), ("queries", queries), ("frames", frames), ("meta_batch", meta_batch)):
            if value < 1:
                raise ConfigError(f"dataset.{name} is {value}; it must be at least 1")
        self.corpus = corpus if pieces is None else Pieces(corpus, pieces)
        self.features, self.pairing, self.split = features, pairing, split
        self.shots, self.queries, self.frames, self.meta_batch = shots, queries, frames, meta_batch
        self.steps_per_epoch, self.voice_pairs, self.seed, self.workers = steps_per_epoch, voice_pairs, seed, workers
        self.limits = {"validation": validation_tasks, "test": test_tasks}
        self.test_queries = test_queries
        self.store = FeatureStore(Path(cache) / "features", features)
        self.alignments = Alignments(self.store, pairing)
        self.episodes: dict[str, list[EpisodeInfo]] = {}

    # -- preparation ------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Does all that takes long, resumably: corpus, features, alignments. Idempotent."""
        if self.episodes:
            return
        self.corpus.prepare()
        utterances = self._analysed(self.corpus.utterances())
        speakers = self.split(utterances)
        log.info("speakers: %s", ", ".join(f"{len(v)} {k}" for k, v in speakers.items()))
        voices = {name: self._voices(utterances, speakers, name) for name in ("train", "validation", "test")}
        rendered = {u.id: u for pairs in voices.values() for v in pairs for pair in v.pairs for u in pair}
        self.usable = {u.id for u in self._analysed(list(rendered.values()))}
        self._training_table(voices["train"])
        for name in ("validation", "test"):
            self.episodes[name] = self._fixed(name, voices[name])

    @property
    def dims(self) -> dict[str, int]:
        """Sizes of the network's input and output frames."""
        columns = len(range(*self.features.mapped.indices(self.features.dim)))
        return {"input": columns, "output": columns}

    def _analysed(self, utterances: Sequence[Utterance]) -> list[Utterance]:
        self.store.ensure(utterances, self.workers)
        kept, skipped = self.store.usable(utterances)
        for path, reason in list(skipped.items())[:10]:
            log.warning("skipped %s: %s", path, reason)
        if len(skipped) > 10:
            log.warning("... and %d more recordings skipped", len(skipped) - 10)
        if not kept:
            raise MetavoxError(f"none of the {len(utterances)} recordings of {self.corpus.name} can be used; see above")
        return kept

    def _voices(self, utterances: list[Utterance], speakers: dict[str, list[str]], name: str) -> list[SpeakerPair]:
        """The voice pairs of a split that have pairs enough."""
        from_train = name != "train" and self.split.sources == "train"
        targets = [u for u in utterances if u.speaker in speakers[name]]
        sources = [u for u in utterances if u.speaker in speakers["train"]] if from_train else targets
        limit = self.voice_pairs if name == "train" else self.limits[name]
        found = self.pairing.speaker_pairs(sources, targets, limit, self.seed)
        if name == "train":
            need = 2 * max(self.shots, self.queries) if self.pairing.pooled else self.shots + self.queries
        else:
            need = self.shots + 1
        short = {f"{v.source} > {v.target}": len(v.pairs) for v in found if len(v.pairs) < need}
        enough = [v for v in found if len(v.pairs) >= need]
        if short:
            some = ", ".join(f"{voice} has {n}" for voice, n in list(short.items())[:5])
            log.warning("%s: skipped %d of %d voice pairs with fewer than %d utterance pairs (%s ...)",
                        name, len(short), len(found), need, some)
        if not enough:
            raise MetavoxError(
                f"no voice pair for {name} has the {need} utterance pairs that {self.shots} shots"
                f"{f' and {self.queries} queries' if name == 'train' else ' and 1 query'} need "
                f"(the most is {max(short.values(), default=0)}); lower dataset.shots or dataset.queries, "
                "or cut long recordings with dataset.pieces=2.0"
            )
        return enough

    def _training_table(self, voices: list[SpeakerPair]) -> None:
        groups = [self._groups(self._clean(v)) for v in voices]
        self.alignments.ensure([g for task in groups for g in task], self.workers)
        spans = [[s for g in task for s in self.alignments.spans(g)] for task in groups]
        folds = [[i if self.pairing.pooled else -1 for i, g in enumerate(task) for _ in g] for task in groups]
        self.table = TaskTable.of(spans, folds)
        self.train_voices = voices
        chosen = {u.id: u for task in groups for g in task for pair in g for u in pair}
        self.normaliser = Normaliser.fit(self._speech(u) for u in chosen.values())

    def _clean(self, voices: SpeakerPair) -> list[UtterancePair]:
        return [p for p in voices.pairs if p[0].id in self.usable and p[1].id in self.usable]

    def _groups(self, pairs: list[UtterancePair]) -> list[Group]:
        """Single pairs, or for pooled pairings two halves: support and query never share a pool."""
        if not self.pairing.pooled:
            return [(pair,) for pair in pairs]
        half = len(pairs) // 2
        return [tuple(pairs[:half]), tuple(pairs[half:])]

    def _speech(self, utterance: Utterance) -> np.ndarray:
        spectrum = self.store.frames(utterance).spectrum
        return spectrum[speech_frames(self.features.power(spectrum))][:, self.features.mapped]

    def _fixed(self, name: str, voices: list[SpeakerPair]) -> list[EpisodeInfo]:
        """Fixed episodes: the same for every algorithm, drawn by the seed."""
        infos = []
        for number, voice in enumerate(voices):
            pairs = self._clean(voice)
            order = np.random.default_rng([self.seed, number]).permutation(len(pairs))
            chosen = [pairs[i] for i in order[: self.shots + self.test_queries]]
            infos.append(EpisodeInfo(voice.source, voice.target, tuple(chosen[: self.shots]), tuple(chosen[self.shots :])))
        self.alignments.ensure([g for e in infos for part in (e.support, e.query) for g in self._parts(part)], self.workers)
        return infos

    def _parts(self, pairs: tuple[UtterancePair, ...]) -> list[Group]:
        return [pairs] if self.pairing.pooled else [(pair,) for pair in pairs]

    # -- tensors ----------------------------------------------------------------------------------------------------

    def collate(self, infos: Sequence[EpisodeInfo]) -> Episodes:
        """Fixed episodes as padded tensors of whole utterances."""
        support = self._pairs([self._aligned(e.support) for e in infos])
        query = self._pairs([self._aligned(e.query) for e in infos])
        whole = [[self._spectrum(source) for source, _ in e.query] for e in infos]
        count, length = max(map(len, whole)), max(len(s) for task in whole for s in task)
        sources = torch.stack([pad(task, count, length)[0] for task in whole])
        return Episodes(TaskBatch(support, query), sources, tuple(infos))

    def _spectrum(self, utterance: Utterance) -> np.ndarray:
        return self.normaliser.normalise(self.store.frames(utterance).spectrum[:, self.features.mapped])

    def _aligned(self, pairs: tuple[UtterancePair, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
        spectrum, rows = self.store.array("spectrum"), self.alignments.rows
        spans = [span for g in self._parts(pairs) for span in self.alignments.spans(g)]
        both = [self.normaliser.normalise(np.asarray(spectrum[rows[a:b]][..., self.features.mapped])) for a, b in spans]
        return [(xy[:, 0], xy[:, 1]) for xy in both]

    @staticmethod
    def _pairs(tasks: list[list[tuple[np.ndarray, np.ndarray]]]) -> Pairs:
        count, length = max(map(len, tasks)), max(len(x) for task in tasks for x, _ in task)
        x, mask = zip(*(pad([x for x, _ in task], count, length) for task in tasks), strict=True)
        y, _ = zip(*(pad([y for _, y in task], count, length) for task in tasks), strict=True)
        return Pairs(torch.stack(x), torch.stack(y), torch.stack(mask))

    # -- Lightning --------------------------------------------------------------------------------------------------

    def train_dataloader(self) -> DataLoader:
        """The meta-batches of the current epoch."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        sampler = EpisodeSampler(
            self.table, self.store.array("spectrum"), self.alignments.rows, self.features.mapped, self.normaliser,
            self.meta_batch, self.shots, self.queries, self.frames, self.seed,
        )  # fmt: skip
        return DataLoader(TrainingEpisodes(sampler, epoch * self.steps_per_epoch, self.steps_per_epoch), batch_size=None)

    def val_dataloader(self) -> DataLoader:
        return self._fixed_loader("validation")

    def test_dataloader(self) -> DataLoader:
        return self._fixed_loader("test")

    def _fixed_loader(self, name: str) -> DataLoader:
        infos: Dataset = self.episodes[name]  # type: ignore[assignment]
        return DataLoader(infos, batch_size=8, collate_fn=self.collate)


class TrainingEpisodes(Dataset):
    """`count` meta-batches of a sampler, starting at number `first`."""

    def __init__(self, sampler: EpisodeSampler, first: int, count: int) -> None:
        self.sampler, self.first, self.count = sampler, first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> TaskBatch:
        if index >= self.count:
            raise IndexError(index)
        return self.sampler.batch(self.first + index)
