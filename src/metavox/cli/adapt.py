"""From a trained run and a few recordings to a voice, and from a voice to converted speech."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

from omegaconf import DictConfig, ListConfig
from threadpoolctl import threadpool_limits

from metavox.adaptation.conversion import Sources, convert, reference
from metavox.adaptation.fitting import Fitted, first_gradient, fit
from metavox.adaptation.phonetics import with_phones
from metavox.adaptation.recordings import Recording, find, load
from metavox.adaptation.run import Run, load_run
from metavox.adaptation.similarity import speaker_similarity
from metavox.adaptation.support import AdaptationPairs, Speech, TextVoice, choose, gather
from metavox.adaptation.vocoder import vocoder_of
from metavox.adaptation.voice_report import Report
from metavox.build import build
from metavox.cli.adapt_checks import check, check_output
from metavox.errors import ConfigError
from metavox.experiments.checks import gv_of
from metavox.synthesis.conversion import VoiceStatistics
from metavox.synthesis.vocoders.auto import SILENT
from metavox.synthesis.voice import Voice, sha256

log = logging.getLogger(__name__)

SPEAKER = "en-us+m3"
SPEECH = "speech"  # name of the file that holds a spoken text


@threadpool_limits.wrap(limits=1, user_api="blas")
def adapt(config: DictConfig) -> Path:
    """Adapts, or takes a voice made before, and converts; returns the folder that holds the results.

    numpy's products are small here: threads of BLAS gain little, and spin for seconds where they wait for a core that
    another job, or a thread of ours, has.
    """
    check(config)
    output, report = Path(str(config.output)).expanduser(), Report()
    names = {key: find(as_list(config[key]), key) if config[key] else {} for key in ("source", "target")}
    voice = Voice.load(Path(str(config.voice)).expanduser()) if config.voice else None
    run = run_of(config, voice)
    vocoder = vocoder_of(config, run.features)
    speaker = TextVoice(speaker_of(config, run), config.language, run.features)
    results = [output / f"{name}.wav" for name in names["source"].values() or [SPEECH]]
    check_output(
        output, [*results, *(reference(path, output) for path in results)], [p for n in names.values() for p in n]
    )
    if voice is None:
        Thread(target=first_gradient).start()
    sources = read_sources(config, names["source"], run, speaker, report)
    if voice is None:
        voice = make_voice(config, names["target"], run, sources, speaker, report)
        path = output / f"{config.name or name_of(config.target)}.voice"
        voice.save(path)
    else:
        path = Path(str(config.voice))
        if voice.provenance["source"] != sources.description:
            report.warnings.append(f"the voice was adapted from {voice.provenance['source']}, not from this source")
    report.run = {"run": str(run.checkpoint), "algorithm": type(run.algorithm).__name__}
    report.voice = {"voice file": str(path), **voice.provenance}
    report.source = sources.description
    if vocoder is None:
        report.warnings.append(SILENT)
    else:
        report.run["vocoder"] = type(vocoder).__name__
        convert(voice, run, vocoder, gv_of(config), sources, output, report)
    report.speaker_similarity = speaker_similarity([Path(t["path"]) for t in voice.provenance["target"]], report.files)
    report.write(output)
    for warning in report.warnings:
        log.warning("warning: %s", warning)
    log.info("%d file(s) converted to %s; see report.md there. Voice: %s", len(report.files), output, path)
    return output


def as_list(value: Any) -> list[str]:
    """One path or a list of paths; ~ is the home folder, which shells leave to us after an equals sign."""
    return [str(Path(str(v)).expanduser()) for v in (value if isinstance(value, list | ListConfig) else [value])]


def name_of(target: Any) -> str:
    """A name for the voice: that of the folder, or of the first recording; patterns have none of their own."""
    parts = Path(as_list(target)[0]).resolve().parts
    return next((Path(part).stem for part in reversed(parts[1:]) if not set("*?[") & set(part)), "target")


def run_of(config: DictConfig, voice: Voice | None) -> Run:
    """The run named, or the one the voice was adapted from. Raises ConfigError when they are not the same."""
    run = load_run(Path(str(config.run or (voice and voice.checkpoint))).expanduser(), config.trust)
    if voice and (voice.sha256 != run.sha256 or voice.features != run.features.settings()):
        raise ConfigError(
            f"voice {config.voice} was adapted from another run ({voice.checkpoint}) than {run.checkpoint}; "
            "name its own with run=, or adapt again"
        )
    return run


def speaker_of(config: DictConfig, run: Run) -> str:
    """The espeak-ng voice that speaks: the one asked for, the one the run was trained with, or a plain one."""
    trained = (run.config.get("pairing") or {}).get("voices") or [SPEAKER]
    return str(config.speaker or trained[0])


def read_sources(config: DictConfig, names: dict[Path, str], run: Run, speaker: TextVoice, report: Report) -> Sources:
    """The speech to convert: recordings, or a text spoken by espeak-ng."""
    if config.text is not None:
        speech = speaker.say(str(config.text), SPEECH)
        return Sources([speech], speaker.read_on(), f"espeak-ng voice {speaker.espeak.voice}")
    recordings = read(names, "source", run, report)
    report.judge(recordings, "source", run.features)
    return Sources(
        [Speech.of(r, run.features.rate) for r in recordings], [], f"recordings in {', '.join(as_list(config.source))}"
    )


def read(names: dict[Path, str], role: str, run: Run, report: Report) -> list[Recording]:
    recordings, skipped = load(names, run.features, f"analysing {role}")
    report.skipped |= {str(path): reason for path, reason in skipped.items()}
    return recordings


def make_voice(
    config: DictConfig, names: dict[Path, str], run: Run, sources: Sources, speaker: TextVoice, report: Report
) -> Voice:
    """Adapts to the target recordings."""
    recordings = read(names, "target", run, report)
    report.judge(recordings, "target", run.features)
    report.judge_amount(recordings)
    targets = [Speech.of(r, run.features.rate) for r in recordings]
    pairing = choose(pairing_name(config), sources.speech, targets, config.text is not None)
    shots, left, right = config.shots or run.shots, sources.every, targets
    if pairing == "phone":
        left = with_phones(left, "source", run.features, report)
        right = with_phones(right, "target", run.features, report)
    pairs = gather(pairing, build(config.pairings[pairing]), left, right, shots, run.features, speaker)
    if len(pairs.used) < shots:
        report.warnings.append(f"{len(pairs.used)} target recordings to adapt on where {shots} were wanted")
    fitted = fit(run, pairs, config.steps, config.lr)
    report.metrics = fitted.metrics
    known = VoiceStatistics.of([t.frames for t in targets], run.features)
    history = provenance(config, pairs, fitted, [r for r in recordings if r.name in pairs.used], sources)
    return Voice(fitted.adapted, known, str(run.checkpoint.absolute()), run.sha256, run.features.settings(), history)


def pairing_name(config: DictConfig) -> str:
    """The name of the pairing asked for."""
    kind = config.pairing.get("_target_", "auto")
    return next((name for name, p in config.pairings.items() if p["_target_"] == kind), "auto")


def provenance(
    config: DictConfig, pairs: AdaptationPairs, fitted: Fitted, used: Sequence[Recording], sources: Sources
) -> dict[str, Any]:
    """Plain values that say where a voice comes from."""
    said = [{"path": str(r.path), "sha256": sha256(r.path), "seconds": round(r.quality.seconds, 2)} for r in used]
    return {
        "target": said, "date": datetime.now(UTC).isoformat(timespec="seconds"), "shots": len(pairs.used),
        "steps": fitted.steps, "steps are": fitted.why, "lr": fitted.lr, "pairing": pairs.pairing,
        "pairs": pairs.quality, "source": sources.description,
        "consent": None if config.consent is None else str(config.consent),
    }  # fmt: skip
