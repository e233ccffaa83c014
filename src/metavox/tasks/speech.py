"""Speech tasks as a LightningDataModule: corpus -> voice pairs -> features -> alignments -> episodes."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from metavox.asr import ASR
from metavox.corpora.pieces import Pieces
from metavox.corpora.transcribed import Transcribed
from metavox.corpora.utterance import Corpus, Utterance
from metavox.errors import ConfigError, MetavoxError
from metavox.features.frames import Features
from metavox.features.store import FeatureStore
from metavox.pairing.base import Pairing, SpeakerPair
from metavox.tasks.alignments import Alignments, Group, speech_frames
from metavox.tasks.augment import VoiceAugment
from metavox.tasks.data import TaskData
from metavox.tasks.episodes import (
    EpisodeInfo,
    Episodes,
    EpisodeSampler,
    PairedFrames,
    TaskTable,
    UtterancePair,
    resident,
    stack_episodes,
)  # fmt: skip
from metavox.tasks.fixed import batches, draw_episode
from metavox.tasks.members import Contents, Members, check_contents, contents_of, members_of, recall_members
from metavox.tasks.normaliser import Normaliser
from metavox.tasks.quality import Paired, table
from metavox.tasks.settings import EpisodeShape, Preparation, Seeds, TaskCounts
from metavox.tasks.sizes import share
from metavox.tasks.split import SpeakerSplit
from metavox.tasks.voices import enough_pairs, enough_speech, report_skipped

log = logging.getLogger(__name__)
FEW = 4
"""Training speakers below which a run is a demonstration at best."""


class SpeechTasks(TaskData):
    """Tasks between voices.

    Args:
        corpus, features, pairing, split: what the tasks are made of.
        asr: transcribes what has no transcript, and gives pieces theirs.
        augment: makes training voices other voices, a new one for every task; None leaves them as they are.
        test_shots: the K at which the tests are made; None for `shots` alone. Supports are nested, the query is the
            same for every K, and a task that cannot serve them all is left out.
        keys: the fields of `flat`, as they stand in the dataset config; the corpus's own, beside them, are not read.
    """

    flat = (EpisodeShape, TaskCounts, Seeds, Preparation)

    def __init__(
        self, corpus: Corpus, features: Features, pairing: Pairing, split: SpeakerSplit, asr: ASR | None = None,
        augment: VoiceAugment | None = None, test_shots: Sequence[int] | None = None, **keys: object,
    ) -> None:  # fmt: skip
        super().__init__()
        self.shape, self.counts = EpisodeShape.of(keys), TaskCounts.of(keys)
        self.seeds, self.preparation = Seeds.of(keys), Preparation.of(keys)
        cache, pieces = Path(self.preparation.cache), self.preparation.pieces
        if asr:
            corpus = Transcribed(corpus, asr, cache / "transcripts", pieces)
        elif pieces is not None:
            corpus = Pieces(corpus, pieces)
        self.corpus, self.features, self.pairing, self.split = corpus, features, pairing, split
        self.augment, self.phones = augment, self.preparation.phones or pairing.labelled
        if augment:
            augment.prepare(features)
        if self.preparation.device_store is True and augment:
            raise ConfigError("dataset.device_store is true, but what lies on the device is not augmented; give auto")
        self._resident: Tensor | None = None
        self.shots, self.meta_batch = self.shape.shots, self.shape.meta_batch
        self.steps_per_epoch = self.counts.steps_per_epoch
        self.grid = sorted({*(test_shots or [self.shots])})
        self.depth = max(self.shots, *self.grid)
        self.store = FeatureStore(cache / "features", features)
        self.alignments = Alignments(self.store, pairing)
        self.episodes: dict[str, list[EpisodeInfo]] = {}
        self.members: Members = {}
        self.contents: Contents = {}
        self.cache = Path(cache)

    @property
    def dims(self) -> dict[str, int]:
        """Sizes of the network's input and output frames."""
        columns = len(range(*self.features.mapped.indices(self.features.dim)))
        return {"input": columns, "output": columns}

    # -- preparation: all that takes long, resumably ------------------------------------------------------------------

    def prepare(self, stored: Path | None = None) -> None:
        """Corpus, features, alignments, episodes. Does nothing the second time. The split is that of the file `stored`,
        where there is one."""
        if self.episodes:
            return
        self.corpus.prepare()
        utterances = self.corpus.utterances()
        if stored is not None and stored.exists():
            speakers, utterances = recall_members(stored, utterances)
        else:
            speakers = self.split(utterances)
        self.members = members_of(speakers, utterances)
        self.contents = contents_of(utterances, self.cache)
        if stored is not None and stored.exists():
            check_contents(stored, self.contents)
        speakers["tuning"] = speakers["validation"]  # the tasks of which need more pairs than those of validation
        log.info("speakers: %s", ", ".join(f"{len(speakers[k])} for {k}" for k in ("test", "validation", "train")))
        if len(speakers["train"]) < FEW:
            log.warning("%d training speakers are very few to learn from", len(speakers["train"]))
        names = ("train", "validation", "test", *(("tuning",) if self.depth > self.shots else ()))
        voices = {name: self._voices(utterances, speakers, name) for name in names}
        kept = self._analyse(voices)
        voices = {n: enough_pairs(_only(found, kept), _shown(n), *self._need(n)) for n, found in voices.items()}
        self._train_on(voices["train"])
        voices.setdefault("tuning", voices["validation"])
        self.episodes = {n: self._fixed(voices[n], *self._sizes(n)) for n in ("validation", "tuning", "test")}
        log.info("tasks: %d for training, %d for validation, %d for testing; alignment cost %.2f",
                 len(voices["train"]), len(voices["validation"]), len(voices["test"]), self.cost)  # fmt: skip
        paired = {"train": [Paired(v.source, v.target, self._groups(v.pairs, halves=True)) for v in voices["train"]]}
        for name in ("validation", "test"):
            paired[name] = [Paired(e.source, e.target, [g for part in (e.support, e.query) for g in self._groups(part)])
                            for e in self.episodes[name]]  # fmt: skip
        self.pairs = table(self.alignments, paired, self.normaliser.scale, self.phones)

    def _need(self, name: str) -> tuple[int, str]:
        """Utterance pairs that a task of this split needs, and why."""
        if name != "train":
            shots = max(self._sizes(name))
            return shots + 1, f"{shots} shots and a query"
        shots, queries, pooled = self.shots, self.shape.queries, self.pairing.pooled
        why = f"{shots} shots and {queries} queries{', each from its own half,' if pooled else ''}"
        return (2 * max(shots, queries) if pooled else shots + queries), why

    def _sizes(self, name: str) -> list[int]:
        """Every K at which the fixed tasks of this split are adapted."""
        return [self.shots] if name == "validation" else sorted({self.shots, *self.grid})

    def _voices(self, utterances: list[Utterance], speakers: dict[str, list[str]], name: str) -> list[SpeakerPair]:
        """The voice pairs of a split, drawn among the speakers with utterances enough."""
        limit, fixed = self.counts.of_split(name), name != "train"
        targets = enough_speech(utterances, speakers[name], _shown(name), *self._need(name))
        alone = len({u.speaker for u in targets}) == 1
        from_train = fixed and (alone or self.split.sources == "train")
        sources = enough_speech(utterances, speakers["train"], "train", *self._need(name)) if from_train else targets
        try:
            return self.pairing.speaker_pairs(sources, targets, limit, self.seeds.data, fixed)
        except MetavoxError as error:
            way_out = "; lower dataset.shots or dataset.queries to keep more speakers" if alone else ""
            raise MetavoxError(f"{_shown(name)} tasks: {error}{way_out}") from error

    def _analyse(self, voices: dict[str, list[SpeakerPair]]) -> set[str]:
        """The ids of the utterances that can be used."""
        wanted = {u.id: u for found in voices.values() for voice in found for pair in voice.pairs for u in pair}
        self.store.ensure(list(wanted.values()), self.preparation.workers)
        kept, skipped = self.store.usable(list(wanted.values()))
        unlabelled = self.alignments.labels.ensure(kept, self.preparation.workers) if self.phones else {}
        if self.pairing.labelled:
            skipped |= unlabelled
        report_skipped(skipped, len(wanted))
        return {u.id for u in kept} - {*skipped}

    def _train_on(self, voices: list[SpeakerPair]) -> None:
        """Alignments of the training pairs, the table that episodes are drawn from, the normalisation."""
        groups = [self._groups(v.pairs, halves=True) for v in voices]
        flat = [g for task in groups for g in task]
        self.alignments.ensure(flat, self.preparation.workers)
        self.cost = float(np.mean([self.alignments.cost(g) for g in flat]))
        spans = [[s for g in task for s in self.alignments.spans(g)] for task in groups]
        folds = [[i if self.pairing.pooled else -1 for i, g in enumerate(task) for _ in g] for task in groups]
        self.table = TaskTable.of(spans, folds)
        chosen = {u.id: u for g in flat for pair in g for u in pair}
        self.normaliser = Normaliser.fit(self._speech(u) for u in chosen.values())

    def _groups(self, pairs: Sequence[UtterancePair], halves: bool = False) -> list[Group]:
        """What is aligned together: a pair; for pooled pairings all pairs, in training two halves (support and query
        must never share a pool)."""
        if not self.pairing.pooled:
            return [(pair,) for pair in pairs]
        half = len(pairs) // 2
        return [tuple(pairs[:half]), tuple(pairs[half:])] if halves else [tuple(pairs)]

    def _speech(self, utterance: Utterance) -> np.ndarray:
        spectrum = self.store.frames(utterance).spectrum
        return spectrum[speech_frames(self.features.power(spectrum))][:, self.features.mapped]

    def _fixed(self, voices: list[SpeakerPair], *sizes: int) -> list[EpisodeInfo]:
        """Fixed episodes with the largest support, drawn by the seed: the same for every algorithm. A pooled pairing
        depends on the pool: its pairs are aligned for every size of the support."""
        infos = [
            draw_episode(voice, max(sizes), self.counts.test_queries, np.random.default_rng([self.seeds.data, i]))
            for i, voice in enumerate(voices)
        ]
        parts = [part for e in infos for part in (*(e.at(shots).support for shots in sizes), e.query)]
        self.alignments.ensure([g for part in parts for g in self._groups(part)], self.preparation.workers)
        return infos

    # -- tensors ------------------------------------------------------------------------------------------------------

    def collate(self, infos: Sequence[EpisodeInfo]) -> Episodes:
        """Fixed episodes as padded tensors of whole utterances."""
        support, query = (
            [self._aligned(part) for part in parts]
            for parts in zip(*((e.support, e.query) for e in infos), strict=True)
        )
        whole = [[self._normalised(self.store.frames(s).spectrum) for s, _ in e.query] for e in infos]
        return stack_episodes(support, query, whole, tuple(infos))

    def _aligned(self, pairs: Sequence[UtterancePair]) -> list[tuple[np.ndarray, np.ndarray]]:
        spectrum, rows = self.store.array("spectrum"), self.alignments.rows
        spans = [span for g in self._groups(pairs) for span in self.alignments.spans(g)]
        return [(self._normalised(spectrum[rows[a:b, 0]]), self._normalised(spectrum[rows[a:b, 1]])) for a, b in spans]

    def _normalised(self, spectrum: np.ndarray) -> np.ndarray:
        return self.normaliser.normalise(np.asarray(spectrum[:, self.features.mapped]))

    # -- Lightning ----------------------------------------------------------------------------------------------------

    def train_dataloader(self) -> DataLoader:
        """The meta-batches of an epoch."""
        frames = PairedFrames(self.store.array("spectrum"), self.alignments.rows, self.features.mapped, self.normaliser)
        sampler = EpisodeSampler(self.table, frames, self.shape, self.seeds.seed, self.augment, self._on_device())
        part = share(self.meta_batch, self.trainer)
        return self.training_loader(lambda number: sampler.batch(number, part))

    def _on_device(self) -> Tensor | None:
        """The frames of the store on the training device, moved there once; None where they stay on disk."""
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        spectrum = self.store.array("spectrum")
        if self.preparation.device_store == "auto":
            fits = device.type == "cuda" and spectrum.nbytes < torch.cuda.mem_get_info(device)[0] / 2
            wanted = self._resident is not None or (fits and not self.augment)
        else:
            wanted = bool(self.preparation.device_store)
        if wanted and (self._resident is None or self._resident.device != device):
            self._resident = resident(spectrum, self.features.mapped, self.normaliser, device)
        return self._resident if wanted else None

    def val_dataloader(self) -> DataLoader:
        return self._fixed_loader("validation", [self.shots])

    def tuning_dataloader(self) -> DataLoader:
        """The validation voices at every K of a test, and at that of training."""
        return self._fixed_loader("tuning", self._sizes("tuning"))

    def test_dataloader(self) -> DataLoader:
        return self._fixed_loader("test", self.grid)

    def _fixed_loader(self, name: str, sizes: Sequence[int]) -> DataLoader:
        return DataLoader(
            batches(self.episodes[name], sizes),  # type: ignore[arg-type]
            batch_size=None, collate_fn=self.collate, generator=torch.Generator(),
        )  # fmt: skip


def _only(voices: list[SpeakerPair], kept: set[str]) -> list[SpeakerPair]:
    keep = lambda pair: pair[0].id in kept and pair[1].id in kept  # noqa: E731
    return [SpeakerPair(v.source, v.target, tuple(filter(keep, v.pairs))) for v in voices]


def _shown(name: str) -> str:
    """The split as its user knows it: inner rates are tuned on validation speakers."""
    return name.replace("tuning", "validation")
