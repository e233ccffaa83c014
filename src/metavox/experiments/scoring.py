"""Scores of speech for all algorithms of a run: what is slow to load is loaded once."""

from collections.abc import Callable, Sequence

from omegaconf import DictConfig
from tqdm import tqdm

from metavox.adaptation.vocoder import vocoder_of
from metavox.build import build
from metavox.corpora.utterance import Utterance
from metavox.evaluation.waveform import WaveformMetric
from metavox.experiments.checks import gv_of
from metavox.experiments.run_folder import RunFolder
from metavox.learner.scorer import SpeechScorer
from metavox.pairing.tts import TTS
from metavox.report.results import TOPLINES
from metavox.synthesis.postfilter import RECORDED, SPOKEN
from metavox.tasks.data import TaskData
from metavox.tasks.speech import SpeechTasks

Scoring = Callable[[int], SpeechScorer | None]
"""An algorithm's own number of inner steps -> its scorer."""


def build_waveform_metrics(config: DictConfig) -> list[WaveformMetric]:
    """The metrics that listen. Raises MetavoxError when one is not installed."""
    return [build(entry) for entry in (config.get("listen") or {}).values()]


def scoring(config: DictConfig, data: TaskData, metrics: Sequence[WaveformMetric]) -> Scoring:
    """Scorers of speech with the same vocoder and the same listeners, `hearing`; None without speech. Metrics that
    listen do so after `evaluation.listen_steps`, or else after the algorithm's own number of inner steps."""
    if not isinstance(data, SpeechTasks):
        return lambda own: None
    at, vocoder = config.evaluation.get("listen_steps"), vocoder_of(config, data.features)
    voices: dict[str, dict[str, Utterance]] = {}
    for info in data.episodes["test"]:
        voices.setdefault(info.target, {}).update({t.id: t for _, t in (*info.support, *info.query)})
    known = {speaker: list(recordings.values()) for speaker, recordings in voices.items()}
    return lambda own: SpeechScorer(
        data.store, data.normaliser, data.pairing.parallel, vocoder, metrics, [own] if at is None else list(at),
        known, gv_of(config), SPOKEN if isinstance(data.pairing, TTS) else RECORDED,
    )  # fmt: skip


def add_toplines(score: SpeechScorer, data: SpeechTasks, folder: RunFolder) -> None:
    """Adds to results.csv what the vocoder alone costs, and what the metrics that listen say of real speech."""
    copied, natural = TOPLINES
    toplines = {copied: score.copy_synthesis} if score.vocoder else {}
    for name, of in {**toplines, **({natural: score.natural} if score.waveform_metrics else {})}.items():
        if name in folder.algorithms():
            continue
        rows = []
        for info in tqdm(data.episodes["test"], desc=name, dynamic_ncols=True):
            ids = {"source": info.source, "target": info.target, "voices": score.voices(info), "shots": data.shots,
                   "steps": 0}  # fmt: skip
            rows += [{**ids, **s._asdict()} for s in of(info)]
        folder.add_rows(name, rows)
