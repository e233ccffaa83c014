"""The command line of the public face: its settings, and the files that it writes."""

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
from omegaconf import DictConfig, ListConfig
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from metavox.adaptation.conversion import Conversion, hertz
from metavox.adaptation.recordings import Recordings, find, without_results
from metavox.adaptation.script import script_warning
from metavox.adaptation.similarity import speaker_similarity
from metavox.adaptation.speech import spoken_by
from metavox.adaptation.vocoder import SILENT, vocoder_of
from metavox.adaptation.voice import Run, Voice, load_run
from metavox.audio.samples import blocks
from metavox.audio.stream import write_parts
from metavox.build import build
from metavox.cli.adapt_checks import check, check_output
from metavox.cli.adapt_translate import ending, translate_all
from metavox.experiments.checks import gv_of
from metavox.pairing.base import Pairing
from metavox.runs import fitting, latest
from metavox.runtime import cores
from metavox.tts import TTS, voice_of

log = logging.getLogger(__name__)

SPEECH = "speech"  # name of the file that holds a spoken text


@threadpool_limits.wrap(limits=1, user_api="blas")
def adapt(config: DictConfig) -> Path:
    """Adapts, or takes a voice made before, and converts; returns the folder that holds the results.

    numpy's products are small here: threads of BLAS gain little, and spin for seconds where they wait for a core that
    another job, or a thread of ours, has.
    """
    check(config)
    output = Path(str(config.output)).expanduser()
    inputs = {key: find(as_list(config[key]), key) if config[key] else {} for key in ("source", "target")}
    for key, names in inputs.items():
        inputs[key] = without_results(names, as_list(config[key]), output if key == "target" else None)[0]
    made_before = Voice.load(str(config.voice), config.run, config.trust) if config.voice else None
    run = made_before.run if made_before else load_run(run_wanted(config), config.trust)
    tts, vocoder = tts_wanted(config), vocoder_of(config, run.features)
    results = [output / f"{name}{ending(config)}" for name in inputs["source"].values() or [SPEECH]]
    check_output(
        output, [*results, *(reference(path, output) for path in results)], [p for n in inputs.values() for p in n]
    )
    reads = config.text is None and config.translate is None
    source = run.read(as_list(config.source), progress=Bar()) if reads else None
    voice = made_before or make_voice(config, run, source or tts)
    if tts is not None:
        voice.tts = tts
    voice.language, voice.vocoder, voice.gv = config.language, vocoder, gv_of(config)
    path = Path(str(config.voice or output / f"{voice.name}.voice"))
    report = voice.report
    report.voice = {"voice file": str(path), **report.voice}
    if made_before is None:
        voice.save(path)
    elif source:
        report.judge_all(source, "source", run.features)
    if config.text is not None and (doubt := script_warning(str(config.text), str(config.language))):
        report.warnings.append(doubt)
    note_source(voice, source, translating=config.translate is not None)
    convert_inputs(config, voice, source, inputs["source"], output)
    if made_before is not None:
        targets = [Path(t["path"]) for t in voice.stored.provenance["target"]]
        report.speaker_similarity = speaker_similarity(targets, report.files)
    report.write(output)
    for warning in report.warnings:
        log.warning("warning: %s", warning)
    if made_before is None:
        log.info("%s", report.verdict)
    log.info("%d file(s) converted to %s; see report.md there. Voice: %s", len(report.files), output, path)
    return output


def note_source(voice: Voice, source: Recordings | None, translating: bool) -> None:
    """Says in the report what is converted, and warns where the voice was adapted from something else."""
    used, known = source.description if source else spoken_by(voice.tts), voice.stored.provenance["source"]
    if known != used and not translating:  # a translation says so itself
        voice.report.warnings.append(f"the voice was adapted from {known}, not from this source")
    voice.report.source = used


def convert_inputs(
    config: DictConfig, voice: Voice, source: Recordings | None, names: Mapping[Path, str], output: Path
) -> None:
    """Converts, speaks or translates what was asked for, and lists in the report what was written."""
    report = voice.report
    if voice.vocoder is None:
        report.warnings.append(SILENT)
        return
    report.run["vocoder"] = type(voice.vocoder).__name__
    if config.translate is not None:
        translate_all(config, voice, names, output, Bar())
        return
    speech = source or [voice.say(str(config.text))]
    write_all(voice.conversions(speech, spoken=not source), len(names) or 1, output, voice)
    known = voice.stored.known.f0
    report.f0["target"] = known.median if known.frames else None


def run_wanted(config: DictConfig) -> str | Path:
    """The run named, the newest of one's own for `latest`, or the one that comes with metavox and fits."""
    if str(config.run) == "latest" and not Path("latest").exists():
        return latest()
    return str(config.run) if config.run else fitting(speaking=config.text is not None)


def tts_wanted(config: DictConfig) -> TTS | None:
    """The voice that speaks: `speaker` in short form, or the engine of `tts`; None leaves the choice to the run."""
    if config.speaker:
        return voice_of(str(config.speaker))
    return cast(TTS, build(config.tts)) if config.tts else None


def make_voice(config: DictConfig, run: Run, source: Recordings | TTS | None) -> Voice:
    """Adapts to the target recordings."""
    target = run.read(as_list(config.target), "target", progress=Bar(), output=Path(str(config.output)).expanduser())
    return run.adapt(
        target, source, shots=config.shots, steps=config.steps, lr=config.lr,
        pairing=pairing_name(config), name=str(config.name or name_of(config.target)),
        consent=None if config.consent is None else str(config.consent), language=config.language,
        target_language=config.target_language, progress=Bar(),
        pairings=lambda name: cast(Pairing, build(config.pairings[name])),
        asr=build(config.asr) if config.asr else None, cache=Path(str(config.cache)),
    )  # fmt: skip


def write_all(conversions: Iterable[Conversion], total: int, output: Path, voice: Voice) -> None:
    """Writes the converted wavs and, under reference/, the sources by the vocoder alone; lists them in the report.

    Threads find the pitch of the outputs meanwhile.
    """
    features, report = voice.run.features, voice.report
    pitches: list[Future[np.ndarray]] = []
    sources: list[np.ndarray] = []
    with ThreadPoolExecutor(cores()) as pool:
        for done in tqdm(conversions, desc="converting", total=total, dynamic_ncols=True):
            path = output / f"{done.source.name}.wav"
            if done.turned_down:
                report.warnings.append(f"{path} turned down by {done.turned_down:.1f} dB, it would have clipped")
            write_parts(path, blocks(done.sound), features.rate, voice.name)
            write_parts(reference(path, output), blocks(done.copy_synthesis()), features.rate)
            pitches.append(pool.submit(features.pitch, done.sound))
            sources.append(done.source.frames.f0)
            names = {"source": done.source.name, "output": str(path), "reference": str(reference(path, output))}
            report.files.append({**names, "seconds": len(done.sound) / features.rate})
    outputs = [pitch.result() for pitch in pitches]
    for row, f0, own in zip(report.files, outputs, sources, strict=True):
        row |= {"f0_source": hertz([own]), "f0_output": hertz([f0])}
    report.f0 = {"source": hertz(sources), "target": None, "output": hertz(outputs)}


def reference(path: Path, output: Path) -> Path:
    """Where the copy-synthesis of a source goes."""
    return output / "reference" / path.relative_to(output)


def as_list(value: object) -> list[str]:
    """One path or a list of paths; ~ is the home folder, which shells leave to us after an equals sign."""
    return [str(Path(str(v)).expanduser()) for v in (value if isinstance(value, list | ListConfig) else [value])]


def name_of(target: object) -> str:
    """A name for the voice: that of the folder, also of one that several recordings lie in, or of the first recording;
    patterns have none of their own."""
    paths = [Path(p).resolve() for p in as_list(target)]
    together = len(paths) > 1 and len({p.parent for p in paths}) == 1 and paths[0].parent.name
    parts = (paths[0].parent if together else paths[0]).parts
    return next((Path(part).stem for part in reversed(parts[1:]) if not set("*?[") & set(part)), "target")


def pairing_name(config: DictConfig) -> str:
    """The name of the pairing asked for."""
    kind = config.pairing.get("_target_", "auto")
    return next((name for name, p in config.pairings.items() if p["_target_"] == kind), "auto")


class Bar:
    """Progress on the screen: a bar for each thing that is done."""

    def __init__(self) -> None:
        self.bar: tqdm[Any] | None = None

    def __call__(self, title: str, share: float) -> None:
        """Moves the bar of that title."""
        if self.bar is None or self.bar.desc != f"{title}: ":
            self.bar = tqdm(total=100, desc=title, bar_format="{desc}: {percentage:3.0f}% [{elapsed}]")
        self.bar.n = round(100 * share)
        self.bar.refresh()
        if share >= 1:
            self.bar.close()
            self.bar = None
