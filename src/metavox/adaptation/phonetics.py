"""The phones of what adapt.py is given, for pairing=phone."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from metavox.adaptation.speech import Speech
from metavox.adaptation.voice_report import Report
from metavox.errors import MetavoxError
from metavox.evaluation.waveform import Clip
from metavox.features.frames import Features
from metavox.pairing.parallel import spoken
from metavox.pairing.phones import RATE, frame_labels, segments

log = logging.getLogger(__name__)


def with_phones(speech: Sequence[Speech], role: str, features: Features, report: Report) -> list[Speech]:
    """What could be labelled, with the phone of every frame; what could not is named and counted in the report.

    Raises MetavoxError when nothing could.
    """
    reasons: dict[str, str] = {}
    found = []
    for said in speech:
        try:
            found.append(_labelled(said, features))
        except MetavoxError as error:
            reasons[said.name] = f"{role} {said.name} is not paired: {error}"
            log.warning("skipped: %s", reasons[said.name])
    if not found:
        raise MetavoxError(
            f"pairing=phone: none of the {len(speech)} {role} recordings can be used, {next(iter(reasons.values()))}; "
            "put what is said into NAME.txt beside NAME.wav, or use pairing=nearest"
        )
    if reasons:
        report.warnings.append(f"{len(reasons)} of {len(speech)} {role} recordings are not paired, see Skipped")
        report.skipped |= {f"{role} {name}": reason for name, reason in reasons.items()}
    return found


def _labelled(said: Speech, features: Features) -> Speech:
    if not spoken(said.text or ""):
        raise MetavoxError("it has no transcript")
    wave = Clip(said.wave()[:], features.rate).at(RATE)
    return replace(said, phones=frame_labels(segments(wave, said.text or ""), len(said.frames), features.hop))
