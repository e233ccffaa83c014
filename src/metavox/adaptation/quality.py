"""What can be wrong with a recording that can be used all the same: measured, and said in plain words."""

from dataclasses import dataclass

import numpy as np

from metavox.audio.decode import Decoded
from metavox.audio.level import frame_power, speech_level
from metavox.audio.samples import AnyWave, blocks
from metavox.features.frames import Features, Frames

CLIPPED = 0.99  # of full scale
CLIPPED_SHARE = 1e-4  # of the samples
FRAME = 0.02  # seconds, for the noise level
QUIET_ROOM = 19.0  # dB from the pauses to the speech; studio recordings have 40 and more
QUIET = -45.0  # dBFS of speech; below, the noise of recorders and of rounding is heard
SHORT = 1.0  # seconds
VOICED = 0.15  # share of the frames; running speech has 40 to 60 %
EDGE = 1.25
"""A median F0 within this factor of the edge of the range may lie beyond it; no one of 90 LibriSpeech voices does."""


@dataclass(frozen=True)
class Quality:
    """Of one recording. `level` in dB of full scale, pauses apart; `clipped` the share of samples at full scale; `snr`
    in dB, estimated from the loud and the quiet frames, at most 99; `f0` the median in Hz, 0 where nothing is voiced;
    `notes` what reading it has shown."""

    seconds: float
    voiced: float  # seconds
    rate: int  # Hz, of the file
    clipped: float
    snr: float
    level: float
    f0: float
    notes: tuple[str, ...] = ()


def measure(wave: AnyWave, frames: Frames, features: Features, sound: Decoded) -> Quality:
    """Quality of a wave [S] at the rate of the features, made of what was decoded."""
    voiced = frames.f0[frames.f0 > 0]
    clipped = sum(int((np.abs(part) >= CLIPPED).sum()) for part in blocks(sound.wave))
    return Quality(
        len(wave) / features.rate, len(voiced) * features.hop, sound.rate,
        clipped / len(sound.wave), signal_to_noise(wave, features.rate),
        speech_level(wave, features.rate), float(np.median(voiced)) if len(voiced) else 0.0, sound.notes,
    )  # fmt: skip


def problems(quality: Quality, features: Features) -> list[str]:
    """Everything that makes a recording worse than it could be, each to follow "it is": with what to do about it."""
    settings = features.settings()
    floor, ceil = (float(settings.get(key, usual)) for key, usual in (("f0_floor", 71.0), ("f0_ceil", 700.0)))
    voiced = quality.voiced / quality.seconds
    found = {
        "clipped; record at a lower level": quality.clipped > CLIPPED_SHARE,
        f"noisy (less than about {QUIET_ROOM:.0f} dB from the pauses to the speech); record in a quieter place": (
            quality.snr < QUIET_ROOM
        ),
        f"quiet (below {QUIET:.0f} dBFS) and turned up, noise included; record closer to the microphone": (
            quality.level < QUIET
        ),
        f"shorter than {SHORT:.0f} s; record whole sentences": quality.seconds < SHORT,
        f"recorded below {features.rate} Hz: their upper frequencies are missing": quality.rate < features.rate,
        f"hardly voiced (less than {100 * VOICED:.0f} % of the time): whispered, noise or out of the pitch range of "
        f"{floor:.0f} to {ceil:.0f} Hz": voiced < VOICED,
        f"at the edge of the pitch range of {floor:.0f} to {ceil:.0f} Hz: the voice may lie beyond it": (
            voiced >= VOICED and not floor * EDGE <= quality.f0 <= ceil / EDGE
        ),
    }
    return [problem for problem, there in found.items() if there]


def signal_to_noise(wave: AnyWave, rate: int) -> float:
    """Mean power of the loud half of the 20 ms frames over that of the quietest tenth, in dB, at most 99."""
    power = np.sort(frame_power(wave, round(FRAME * rate)))
    power = power[power > 1e-6 * power.max(initial=0)]  # digital silence is an edit, not a room
    if len(power) < 10:
        return 99.0
    return float(min(99.0, 10 * np.log10(power[len(power) // 2 :].mean() / power[: len(power) // 10].mean())))
