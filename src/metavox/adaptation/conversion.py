"""From a voice and speech to converted recordings and what the report says of them."""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from metavox.adaptation.run import Run
from metavox.adaptation.support import Speech
from metavox.adaptation.voice_report import Report
from metavox.audio.files import write
from metavox.features.frames import Features, Frames
from metavox.synthesis.f0 import F0Statistics
from metavox.synthesis.variance import GV
from metavox.synthesis.vocoders.base import Original, Vocoder
from metavox.synthesis.voice import Voice
from metavox.workers import cores

PEAK = 0.99
"""Highest amplitude written; a louder output is turned down as a whole."""


class Sources(NamedTuple):
    """`speech` is to be converted; `context` is what the pairing and the pitch statistics may use beside it."""

    speech: list[Speech]
    context: list[Speech]
    description: str

    @property
    def every(self) -> list[Speech]:
        return [*self.speech, *self.context]


def convert(voice: Voice, run: Run, vocoder: Vocoder, gv: GV, sources: Sources, output: Path, report: Report) -> None:
    """Writes the converted wavs and, under reference/, the source by the vocoder alone."""
    source_f0 = F0Statistics.of(s.frames.f0 for s in sources.every)
    if not source_f0.frames or not voice.known.f0.frames:
        report.warnings.append("no voiced speech in the source or the target: the pitch stays as it is")
    every = [s.frames for s in sources.speech]
    converted = voice.convert(every, source_f0, run.algorithm, run.features, run.normaliser, gv)
    found = synthesise(sources.speech, converted, run.features, vocoder, output, report)
    for row, frames, f0 in zip(report.files, every, found, strict=True):
        row |= {"f0_source": hertz([frames.f0]), "f0_output": hertz([f0])}
    known = voice.known.f0
    report.f0 = {
        "source": hertz([frames.f0 for frames in every]), "target": known.median if known.frames else None,
        "output": hertz(found),
    }  # fmt: skip


def synthesise(
    sources: Sequence[Speech], converted: Iterable[Frames], features: Features, vocoder: Vocoder, output: Path,
    report: Report,
) -> list[np.ndarray]:  # fmt: skip
    """Writes and lists the files -> F0 [T] of every converted one.

    One after the other, since vocoders may draw from the one random generator; what else takes time, the aperiodicity
    of the sources and the pitch of the outputs, threads find meanwhile.
    """
    pitches: list[Future[np.ndarray]] = []
    with ThreadPoolExecutor(cores()) as pool:
        found = pool.map(lambda speech: features.aperiodicity(speech.wave()), sources)
        listed = tqdm(sources, desc="converting", dynamic_ncols=True)
        for speech, frames, aperiodicity in zip(listed, converted, found, strict=True):
            path, own = output / f"{speech.name}.wav", replace(speech.frames, aperiodicity=aperiodicity)
            original = Original(speech.wave(), own)
            wave = vocoder.render(replace(frames, aperiodicity=aperiodicity), original)
            wave = keep(path, wave, features.rate, report)
            pitches.append(pool.submit(features.pitch, wave))
            keep(reference(path, output), vocoder.render(own, original), features.rate, report)
            names = {"source": speech.name, "output": str(path), "reference": str(reference(path, output))}
            report.files.append({**names, "seconds": len(wave) / features.rate})
    return [pitch.result() for pitch in pitches]


def hertz(tracks: Sequence[np.ndarray]) -> float | None:
    """Median F0 of some tracks [T], None where nothing is voiced (JSON has no nan)."""
    return F0Statistics.of(tracks).median if any((t > 0).any() for t in tracks) else None


def reference(path: Path, output: Path) -> Path:
    """Where the copy-synthesis of a source goes."""
    return output / "reference" / path.relative_to(output)


def keep(path: Path, wave: np.ndarray, rate: int, report: Report) -> np.ndarray:
    """Writes a wave, turned down where it would clip; returns what was written."""
    peak = float(np.abs(wave).max(initial=0))
    if peak > PEAK:
        report.warnings.append(f"{path} turned down by {20 * np.log10(peak / PEAK):.1f} dB, it would have clipped")
        wave = wave * (PEAK / peak)
    write(path, wave, rate)
    return wave
