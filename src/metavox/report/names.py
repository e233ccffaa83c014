"""What pages, plots and papers call things that tables on the screen name by their keys.

A key that is not listed stays as it is: an algorithm or metric of one's own needs no entry here.
"""

import re
from collections.abc import Mapping

ALGORITHMS = {
    "adapter": "Adapter", "alfa": "ALFA", "alpaca": "ALPaCA", "anil": "ANIL", "boil": "BOIL", "cavia": "CAVIA",
    "cnp": "CNP", "fomaml": "FOMAML", "gmm": "GMM", "identity": "No conversion", "imaml": "iMAML",
    "joint": "Joint training", "knn": "kNN", "maml": "MAML", "maml_pp": "MAML++", "mean_shift": "Mean shift",
    "meta_curvature": "Meta-Curvature", "meta_sgd": "Meta-SGD", "protonet": "ProtoNet", "r2d2": "R2D2",
    "reptile": "Reptile", "ridge": "Ridge regression", "scratch": "From scratch", "copy-synthesis": "Copy-synthesis",
    "natural": "Natural speech",
}  # fmt: skip
METRICS = {
    "loss": "Loss", "mcd": "Mel-cepstral distortion", "mcd_wave": "Mel-cepstral distortion of the wave",
    "log_f0_rmse": "Error of log F0", "vuv_error": "Voicing error", "f0_median": "Error of the median F0",
    "secs": "Speaker similarity", "secs_source": "Similarity to the source", "wer": "Word error rate",
    "cer": "Character error rate", "eer": "Equal error rate", "dnsmos_ovrl": "DNSMOS overall", "dnsmos_sig":
    "DNSMOS signal", "dnsmos_bak": "DNSMOS background", "inner_steps": "Inner steps",
}  # fmt: skip
CONVENTIONS = {
    "sprocket24": "dB, c1 to c24, frames aligned by DTW", "aligned24": "dB, c1 to c24, frames aligned by the pairing",
    "mse": "mean squared error of normalised features", "ln": "natural logarithm", "share": "share of frames",
}  # fmt: skip
DATASETS = {
    "espeak": "generated voices (espeak-ng)", "librispeech": "LibriSpeech", "vctk": "VCTK", "cmu_arctic": "CMU ARCTIC",
    "fsdd": "spoken digits (FSDD)", "folder": "own recordings", "sinusoid": "sine waves",
}  # fmt: skip
AUTO = "+auto"
"""End of a row's name: the number of steps was chosen by cross-validation."""


def algorithm(key: str) -> str:
    """ "maml" -> "MAML", "maml+auto" -> "MAML, steps by cross-validation"."""
    name = ALGORITHMS.get(key.removesuffix(AUTO), key.removesuffix(AUTO))
    return f"{name}, steps by cross-validation" if key.endswith(AUTO) else name


def metric(key: str) -> str:
    """ "mcd/aligned24" -> "Mel-cepstral distortion (dB, c1 to c24, frames aligned by the pairing)"."""
    name, _, convention = key.partition("/")
    unit = CONVENTIONS.get(convention, convention)
    return f"{METRICS.get(name, name)} ({unit})" if unit else METRICS.get(name, name)


def short_metric(key: str) -> str:
    """ "mcd/aligned24" -> "Mel-cepstral distortion (aligned24)"."""
    name, _, convention = key.partition("/")
    return f"{METRICS.get(name, name)} ({convention})" if convention else METRICS.get(name, name)


def value(axis: str, text: str) -> str:
    """The name of a row or column of a table with this axis."""
    if axis in ("algorithm", "choices.algorithm"):
        return algorithm(text)
    if axis == "metric":
        return short_metric(text)
    if axis in ("dataset", "choices.dataset"):
        return DATASETS.get(text, text)
    if axis == "shots":
        return f"K = {text}"
    if axis == "steps":
        return f"{text} {'step' if text == '1' else 'steps'}"
    return f"{axis.split('.')[-1]} {text}"


def conditions(fixed: Mapping[str, str]) -> str:
    """{"dataset": "librispeech", "shots": "5"} -> "LibriSpeech; K = 5 support utterances"."""
    parts = []
    for key, text in fixed.items():
        if key == "dataset":
            parts.append(DATASETS.get(text, text))
        elif key == "shots":
            parts.append(f"K = {text} support {'utterance' if text == '1' else 'utterances'}")
        elif key == "steps":
            parts.append(f"after {text} inner {'step' if text == '1' else 'steps'}")
        else:
            parts.append(f"{key} {text}")
    return "; ".join(parts)


def plain(text: str) -> str:
    """Text for matplotlib: a dollar sign, or an unfinished formula, is just that."""
    shown = re.sub(r"[\ud800-\udfff]", lambda odd: f"\\x{ord(odd[0]) & 255:02x}", text)
    return (shown if len(shown) <= 60 else f"{shown[:57]}...").replace("$", r"\$")
