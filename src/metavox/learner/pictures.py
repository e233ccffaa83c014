"""What a person looks at and listens to in TensorBoard: adaptation curves, spectrograms, audio of fixed tasks."""

from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter

from metavox.audio.files import write
from metavox.features.frames import Features, Frames
from metavox.features.world import World
from metavox.learner.module import MetaLearner
from metavox.learner.scorer import SpeechScorer
from metavox.tasks.episodes import EpisodeInfo
from metavox.tasks.speech import SpeechTasks


class Pictures(pl.Callback):
    """Every `every_epochs` validations: the adaptation curve, and for the first `tasks` fixed tasks the spectrograms
    and the audio of source, conversion, target and copy-synthesis. After the test the audio of as many test tasks is
    written to `folder` as wav files."""

    def __init__(self, every_epochs: int = 5, tasks: int = 2, folder: str | None = None) -> None:
        self.every_epochs, self.tasks, self.folder = every_epochs, tasks, folder

    def on_validation_epoch_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert isinstance(learner, MetaLearner)
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if not last and (trainer.current_epoch + 1) % self.every_epochs:
            return
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                self._log(logger.experiment, trainer, learner)

    def on_test_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert isinstance(learner, MetaLearner)
        if self.folder is None or learner.scorer is None:
            return
        assert isinstance(learner.scorer, SpeechScorer)
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, SpeechTasks)
        for task in data.episodes["test"][: self.tasks]:
            info = task.at(data.shots)
            for name, wave in waves(info, converted(info, data, learner), learner.scorer).items():
                write(Path(self.folder) / f"{info.source}-to-{info.target}_{name}.wav", wave, data.features.rate)

    def _log(self, writer: SummaryWriter, trainer: pl.Trainer, learner: MetaLearner) -> None:
        step = trainer.global_step
        writer.add_figure("val/adaptation_curve", draw_curves(_curves(trainer.callback_metrics)), step)
        if learner.scorer is None:
            return
        assert isinstance(learner.scorer, SpeechScorer)
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, SpeechTasks)
        for info in data.episodes["validation"][: self.tasks]:
            tag, result = f"{info.source} to {info.target}", converted(info, data, learner)
            source, target = (data.store.frames(utterance) for utterance in info.query[0])
            frames = {"source": source, "converted": result, "target": target}
            writer.add_figure(f"spectrogram/{tag}", draw_spectrograms(frames, data.features), step)
            for name, wave in waves(info, result, learner.scorer).items():
                writer.add_audio(f"audio {tag}/{name}", wave[None].clip(-1, 1), step, data.features.rate)


def converted(info: EpisodeInfo, data: SpeechTasks, learner: MetaLearner) -> Frames:
    """The first query source of a fixed task, converted after the algorithm's own number of inner steps."""
    episodes = data.collate([info]).to(learner.device)
    assert isinstance(learner.scorer, SpeechScorer) and episodes.sources is not None
    with torch.enable_grad():
        adapted = learner.algorithm.adapt(episodes.batch.support)
    y_hat = learner.algorithm.predict(adapted, episodes.sources).detach()[0]
    return learner.scorer.frames(info, list(y_hat), not adapted)[0]


def waves(info: EpisodeInfo, result: Frames, scorer: SpeechScorer) -> dict[str, np.ndarray]:
    """The recordings of the first query pair; where there is a vocoder the target through it alone, and the conversion
    unless it diverged."""
    source, target = info.query[0]
    found = {"source": scorer.recording(source).wave, "target": scorer.recording(target).wave}
    if scorer.vocoder is not None:
        found["copy-synthesis"] = scorer.render(scorer.store.frames(target), target)
        if np.isfinite(result.spectrum).all():
            found["converted"] = scorer.render(result, source)
    return found


def _curves(metrics: dict[str, torch.Tensor]) -> dict[str, dict[int, float]]:
    """Logged "val_curve/NAME_at_STEP" -> {NAME: {STEP: value}}."""
    found: dict[str, dict[int, float]] = {}
    for key, value in metrics.items():
        if key.startswith("val_curve/"):
            name, step = key.removeprefix("val_curve/").rsplit("_at_", 1)
            found.setdefault(name, {})[int(step)] = float(value)
    return found


def draw_curves(curves: dict[str, dict[int, float]]) -> Figure:
    """One panel a metric: its value over the inner steps."""
    figure = Figure(figsize=(4 * len(curves), 3), layout="constrained")
    for axis, (name, points) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        axis.plot(*zip(*sorted(points.items()), strict=True), "o-")
        axis.set(xlabel="inner steps", title=f"validation {name}")
    return figure


def draw_spectrograms(voices: dict[str, Frames], features: Features) -> Figure:
    """Spectrograms in kHz where frames are mel-cepstra, else the frames as they are, above each other; F0 as a line, on
    one scale that holds all of it."""
    hop, highest = features.hop, max(float(frames.f0.max(initial=0)) for frames in voices.values())
    figure = Figure(figsize=(8, 2 * len(voices)), layout="constrained")
    for axis, (name, frames) in zip(figure.subplots(len(voices), 1, squeeze=False)[:, 0], voices.items(), strict=True):
        image, top, label = frames.spectrum, float(frames.spectrum.shape[1]), "coefficient"
        if isinstance(features, World):
            image, top, label = spectrogram(image, features), features.rate / 2000, "kHz"
        axis.imshow(image.T, origin="lower", aspect="auto", extent=(0, len(frames) * hop, 0, top))
        axis.set(xlabel="seconds", ylabel=label, title=name)
        pitch = axis.twinx()
        pitch.plot(np.arange(len(frames)) * hop, np.where(frames.f0 > 0, frames.f0, np.nan), "w", linewidth=1)
        pitch.set(ylabel="F0 [Hz]", ylim=(0, max(400.0, 1.05 * highest)))
    return figure


def spectrogram(spectrum: np.ndarray, features: World, points: int = 256) -> np.ndarray:
    """Mel-cepstra [T, D] -> log amplitudes [T, points] at frequencies evenly from 0 to half the rate: the cosines are
    those of the frequency axis as the all-pass filter of `features.alpha` warps it."""
    omega, alpha = np.linspace(0, np.pi, points), features.alpha
    warped = omega + 2 * np.arctan2(alpha * np.sin(omega), 1 - alpha * np.cos(omega))
    return features.static(spectrum) @ np.cos(np.outer(np.arange(features.order + 1), warped))
