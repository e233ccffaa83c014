"""metavox: few-shot speech synthesis by meta-learning.

    import metavox
    run = metavox.load_run("outputs/espeak_maml/...")
    voice = run.adapt("my_recordings/", source="someone.wav")
    wave, rate = voice.convert("another.wav")
    wave, rate = voice.speak("Good morning.")
    voice.save("me.voice")

Shape letters used in every docstring: B tasks of a meta-batch, K utterance pairs (shots), T frames, D feature
dimensions, N rows of any kind, S samples.

Names are loaded when they are first used: `import metavox` itself takes some milliseconds and changes nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from metavox.version import __version__

if TYPE_CHECKING:  # for type checkers and editors; at run time the names come from _HOMES
    from metavox.adaptation.voice import Run as Run
    from metavox.adaptation.voice import Voice as Voice
    from metavox.adaptation.voice import load_run as load_run
    from metavox.algorithms.adapter import Adapter as Adapter
    from metavox.algorithms.alfa import ALFA as ALFA
    from metavox.algorithms.alpaca import ALPaCA as ALPaCA
    from metavox.algorithms.base import MetaAlgorithm as MetaAlgorithm
    from metavox.algorithms.baselines import Identity as Identity
    from metavox.algorithms.baselines import Joint as Joint
    from metavox.algorithms.baselines import Scratch as Scratch
    from metavox.algorithms.cavia import CAVIA as CAVIA
    from metavox.algorithms.cnp import CNP as CNP
    from metavox.algorithms.gmm import GMM as GMM
    from metavox.algorithms.gradient import InnerLoop as InnerLoop
    from metavox.algorithms.imaml import IMAML as IMAML
    from metavox.algorithms.knn import KNN as KNN
    from metavox.algorithms.maml import MAML as MAML
    from metavox.algorithms.maml_pp import MAMLpp as MAMLpp
    from metavox.algorithms.mean_shift import MeanShift as MeanShift
    from metavox.algorithms.meta_curvature import MetaCurvature as MetaCurvature
    from metavox.algorithms.meta_sgd import MetaSGD as MetaSGD
    from metavox.algorithms.protonet import ProtoNet as ProtoNet
    from metavox.algorithms.r2d2 import R2D2 as R2D2
    from metavox.algorithms.reptile import Reptile as Reptile
    from metavox.algorithms.ridge import Ridge as Ridge
    from metavox.audio.files import read as read
    from metavox.audio.files import write as write
    from metavox.errors import AudioError as AudioError
    from metavox.errors import ConfigError as ConfigError
    from metavox.errors import MetavoxError as MetavoxError
    from metavox.models.base import MappingNetwork as MappingNetwork
    from metavox.models.conv import ConvNet as ConvNet
    from metavox.models.gru import GRUNet as GRUNet
    from metavox.models.mlp import MLP as MLP
    from metavox.models.transformer import Transformer as Transformer
    from metavox.tasks.batch import Pairs as Pairs
    from metavox.tasks.batch import TaskBatch as TaskBatch

_HOMES = {
    "adaptation.voice": ("Run", "Voice", "load_run"),
    "algorithms.adapter": ("Adapter",),
    "algorithms.alfa": ("ALFA",),
    "algorithms.alpaca": ("ALPaCA",),
    "algorithms.base": ("MetaAlgorithm",),
    "algorithms.baselines": ("Identity", "Joint", "Scratch"),
    "algorithms.cavia": ("CAVIA",),
    "algorithms.cnp": ("CNP",),
    "algorithms.gmm": ("GMM",),
    "algorithms.gradient": ("InnerLoop",),
    "algorithms.imaml": ("IMAML",),
    "algorithms.knn": ("KNN",),
    "algorithms.maml": ("MAML",),
    "algorithms.maml_pp": ("MAMLpp",),
    "algorithms.mean_shift": ("MeanShift",),
    "algorithms.meta_curvature": ("MetaCurvature",),
    "algorithms.meta_sgd": ("MetaSGD",),
    "algorithms.protonet": ("ProtoNet",),
    "algorithms.r2d2": ("R2D2",),
    "algorithms.reptile": ("Reptile",),
    "algorithms.ridge": ("Ridge",),
    "audio.files": ("read", "write"),
    "errors": ("AudioError", "ConfigError", "MetavoxError"),
    "models.base": ("MappingNetwork",),
    "models.conv": ("ConvNet",),
    "models.gru": ("GRUNet",),
    "models.mlp": ("MLP",),
    "models.transformer": ("Transformer",),
    "tasks.batch": ("Pairs", "TaskBatch"),
}
"""Module -> the names that it gives to the public face."""
_MODULE_OF = {name: f"metavox.{module}" for module, names in _HOMES.items() for name in names}
_MODULES = ("tts", "asr", "translation")
__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str) -> object:
    """Loads what is used for the first time (PEP 562)."""
    if name in _MODULES:
        return import_module(f"metavox.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'metavox' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
