"""From recordings of a target and a source voice to an adapted voice."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from metavox.adaptation.checkpoint import Checkpoint
from metavox.adaptation.fitting import AUTO, Fitted, fit
from metavox.adaptation.phonetics import with_phones
from metavox.adaptation.recordings import Recording, Recordings
from metavox.adaptation.speech import Speech, SpokenSource, plain_tts
from metavox.adaptation.support import AdaptationPairs, choose, gather
from metavox.adaptation.voice_report import Report
from metavox.algorithms.base import Adapted
from metavox.errors import ConfigError, MetavoxError
from metavox.features.frames import Frames
from metavox.pairing.base import Pairing
from metavox.pairing.nearest import Nearest
from metavox.pairing.parallel import Parallel
from metavox.pairing.phone import Phone
from metavox.pairing.phones import pocketsphinx
from metavox.synthesis.conversion import VoiceStatistics
from metavox.synthesis.f0 import F0Statistics
from metavox.synthesis.postfilter import Postfilter
from metavox.synthesis.sealed import sha256
from metavox.synthesis.voice import StoredVoice, adapted_spectra

PAIRINGS: dict[str, Callable[[], Pairing]] = {
    "parallel": Parallel, "tts": Parallel, "nearest": Nearest, "phone": Phone,
}  # fmt: skip
"""By name; a text-to-speech voice that says the target's transcripts is parallel to it."""


def pairing_named(name: str) -> Pairing:
    """The pairing of that name with its defaults."""
    return PAIRINGS[name]()


@dataclass(frozen=True)
class Wishes:
    """How to adapt; None leaves it to the run. `pairings` makes the pairing of a name."""

    shots: int | None = None
    steps: int | str | None = None
    lr: float | None = None
    pairing: str = "auto"
    language: str = "en-us"  # of what the voice will speak
    target_language: str = "en-us"  # of the target's transcripts
    consent: str | None = None
    pairings: Callable[[str], Pairing] = pairing_named

    def __post_init__(self) -> None:
        """Raises ConfigError for what cannot be."""
        _check_number("shots", self.shots, "a whole number of 1 or more", 1)
        if self.steps != AUTO:
            _check_number("steps", self.steps, "a whole number of 0 or more, or auto", 0)
        _check_number("lr", self.lr, "a number above 0", 1e-12)
        if self.pairing not in ("auto", *PAIRINGS):
            raise ConfigError(f"pairing is {self.pairing}; it can be auto, {', '.join(PAIRINGS)}")
        if self.pairing == "phone":
            if not self.target_language.startswith("en"):
                raise ConfigError(
                    f"pairing=phone knows English only, not language={self.target_language}; use pairing=nearest"
                )
            pocketsphinx()


def _check_number(key: str, value: object, wanted: str, least: float) -> None:
    whole = key != "lr"
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < float("inf"):
        raise ConfigError(f"{key} is {value}; give {wanted}")
    if whole and value != int(value):
        raise ConfigError(f"{key} is {value}; give {wanted}")


@dataclass(frozen=True)
class Source:
    """The voice that is mapped from: recordings of it, or a text-to-speech voice's `speech`; `spoken` can say more."""

    speech: Sequence[Speech]
    spoken: SpokenSource
    recorded: bool
    description: str
    why: str = ""  # it was chosen


def enrol(checkpoint: Checkpoint, target: Recordings, source: Source, wishes: Wishes, report: Report) -> StoredVoice:
    """Adapts to the target; what is to be said of it goes into the report.

    Raises MetavoxError where nothing can be paired or the adaptation diverges, ConfigError for wishes that cannot be.
    """
    features = checkpoint.features
    report.judge_amount(target.usable)
    targets = [Speech.of(r, features.rate) for r in target.usable]
    shots = wishes.shots or checkpoint.shots
    choice = choose(
        wishes.pairing, source.speech, targets, not source.recorded, shots, features, report.warnings
    )  # fmt: skip
    left, right = source.speech, targets
    if choice.pairing == "phone":
        left = with_phones(left, "source", features, report)
        right = with_phones(right, "target", features, report)
    pairs = gather(
        choice, wishes.pairings(choice.pairing), left, right, shots, features, source.spoken, report.warnings
    )
    if len(pairs.used) < shots:
        report.warnings.append(f"{len(pairs.used)} target recordings to adapt on where {shots} were wanted")
    fitted = fit_unharmed(checkpoint, pairs, wishes, report.warnings)
    report.metrics = fitted.metrics
    checked = ""
    if wishes.shots is None and pairs.held_out and not worsened(fitted):
        with suppress(MetavoxError):  # where adapting on all of them diverges, the checked map stays
            every = pairs.together()
            fitted = fitted._replace(adapted=fit(checkpoint, every, fitted.steps, fitted.lr).adapted)
            checked = (
                f"adapted on {len(pairs.used)} recordings and checked by the other {len(pairs.checked)}, then on all"
            )
            pairs = every
    used = [r for r in target.usable if r.name in pairs.used]
    history = provenance(wishes, pairs, fitted, used, source)
    history |= {"check": checked} if checked else {}
    history |= {"source because": source.why} if source.why else {}
    history["pairing because"] = choice.reason
    history["level"] = float(np.median([r.quality.level for r in target.usable]))
    history["language"] = wishes.language
    known = VoiceStatistics.of([t.frames for t in targets], features)
    known = known._replace(postfilter=postfilter(checkpoint, fitted.adapted, pairs.sources, targets))
    path = str(checkpoint.path.absolute())
    return StoredVoice(fitted.adapted, known, path, checkpoint.sha256, features.settings(), history)


def postfilter(
    checkpoint: Checkpoint, adapted: Adapted, sources: Sequence[Frames], targets: Sequence[Speech]
) -> Postfilter | None:
    """Of what the adapted map makes of the sources, and the targets."""
    spectra = adapted_spectra(sources, adapted, checkpoint.algorithm, checkpoint.features, checkpoint.normaliser)
    return Postfilter.fit(sources, spectra, [t.frames for t in targets], checkpoint.features)


def fit_unharmed(checkpoint: Checkpoint, pairs: AdaptationPairs, wishes: Wishes, warnings: list[str]) -> Fitted:
    """Adapts by the steps wished for, or else by the run's: where these make held-out recordings worse, or the run was
    trained with another pairing, by as many as leaving recordings out of the support shows to be best."""
    trained = trained_pairing(checkpoint)
    foreign = wishes.steps is None and trained not in (None, pairs.pairing) and len(pairs.support) > 1
    fitted = fit(checkpoint, pairs, AUTO if foreign else wishes.steps, wishes.lr)
    tried = f"{fitted.steps} inner steps"
    for steps in (AUTO, 0):
        if not (wishes.steps is None and fitted.steps and worsened(fitted)):
            break
        other = fit(checkpoint, pairs, steps, wishes.lr)
        if held_out(other) < held_out(fitted):
            fitted = other._replace(why=f"{other.why if steps == AUTO else 'chosen'}, since {tried} made held-out "
                                        "recordings worse")  # fmt: skip
    if worsened(fitted):
        before, after = held_out(fitted, "unconverted"), held_out(fitted)
        warnings.append(
            f"adapting made the held-out recordings worse ({before:.2f} before, {after:.2f} after, in dB of distance): "
            "the voice will not be good; give more or other recordings, or their transcripts"
        )
    return fitted


def trained_pairing(checkpoint: Checkpoint) -> str | None:
    """The name of the pairing that a run was trained with, None where it does not say."""
    target = str((checkpoint.config.get("pairing") or {}).get("_target_", ""))
    return next((name for name in PAIRINGS if target.rpartition(".")[2].lower() == name), None)


def held_out(fitted: Fitted, state: str = "adapted") -> float:
    """Distance of the held-out pairs in a state, nan without them."""
    rows = [m for m in fitted.metrics if m["pairs"] == "held-out" and m["state"] == state]
    return float(rows[0][rows[0]["metric"]]) if rows else float("nan")


def worsened(fitted: Fitted) -> bool:
    """Whether held-out pairs are further apart than before adaptation, or than without conversion."""
    before = [held_out(fitted, state) for state in ("before adaptation", "unconverted")]
    return any(held_out(fitted) > 1.005 * value for value in before)


def provenance(
    wishes: Wishes, pairs: AdaptationPairs, fitted: Fitted, used: Sequence[Recording], source: Source
) -> dict[str, Any]:
    """Plain values that say where a voice comes from."""
    said = [{"path": str(r.path), "sha256": sha256(r.path), "seconds": round(r.quality.seconds, 2)} for r in used]
    pitch = F0Statistics.of(s.frames.f0 for s in source.speech)
    return {
        "target": said, "date": datetime.now(UTC).isoformat(timespec="seconds"), "shots": len(pairs.used),
        "steps": fitted.steps, "steps are": fitted.why, "lr": fitted.lr, "pairing": pairs.pairing,
        "pairs": pairs.quality, "source": source.description, "consent": wishes.consent,
        "source_pitch": pitch._asdict(), "tts": None if source.recorded else plain_tts(source.spoken.tts),
    }  # fmt: skip
