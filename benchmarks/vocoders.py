"""What each vocoder alone costs on your recordings: copy-synthesis, nothing converted, beside the recordings.

python -m benchmarks.vocoders FOLDER [--limit 2] [--vocoders world diffvc griffin_lim] [--rates 16000 24000]

FOLDER holds one sub-folder of recordings a speaker. SECS is measured against the speaker's other recordings, MCD by
the convention sprocket24 at 16 kHz, RTF (seconds of processor time a second of speech) without the analysis.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from tqdm import tqdm

from metavox.audio.files import read, recordings
from metavox.build import build
from metavox.cli.entry import CONF
from metavox.corpora.transcripts import transcript
from metavox.evaluation.dnsmos import Dnsmos
from metavox.evaluation.mcd import Mcd
from metavox.evaluation.secs import Secs
from metavox.evaluation.waveform import Clip, EvaluatedUtterance, WaveformMetric
from metavox.evaluation.wer import pocketsphinx
from metavox.synthesis.vocoders.base import Original

FEATURES = {"world": "world", "diffvc": "world", "griffin_lim": "mel"}
COLUMNS = ("secs", "dnsmos_sig", "dnsmos_ovrl", "wer", "mcd_wave", "rtf")


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a Markdown table, a row for each vocoder at each rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=2, help="recordings of each speaker that are measured")
    parser.add_argument("--vocoders", nargs="+", default=list(FEATURES), choices=list(FEATURES))
    parser.add_argument("--rates", nargs="+", type=int, default=[16000], help="Hz, of the features")
    chosen = parser.parse_args(arguments)
    metrics = [Secs(), Dnsmos(), pocketsphinx(), Mcd(["sprocket24"])]
    utterances = list(speakers(chosen.folder, chosen.limit))
    print(f"| vocoder | rate |{' | '.join(COLUMNS)} |\n|{' --- |' * (len(COLUMNS) + 2)}")
    print(line("natural", "-", [(said, 0.0) for said, _ in utterances], metrics), flush=True)
    for vocoder in chosen.vocoders:
        for rate in chosen.rates:
            copies = [copied(said, path, vocoder, rate) for said, path in tqdm(utterances, desc=vocoder, leave=False)]
            print(line(vocoder, str(rate), copies, metrics), flush=True)


def speakers(folder: Path, limit: int) -> Iterator[tuple[EvaluatedUtterance, Path]]:
    """The recordings to measure, each beside up to nine others of its speaker, at 16 kHz."""
    for speaker in sorted(p for p in folder.iterdir() if p.is_dir()):
        paths = recordings(speaker)[:10]
        clips = [Clip(read(path, 16000), 16000) for path in paths]
        for i in range(min(limit, len(clips))):
            others = [*clips[:i], *clips[i + 1 :]]
            yield EvaluatedUtterance(clips[i], others, others, transcript(paths[i]), clips[i]), paths[i]


def copied(said: EvaluatedUtterance, path: Path, vocoder: str, rate: int) -> tuple[EvaluatedUtterance, float]:
    """The same utterance through a vocoder, and the seconds that took."""
    features = build({**settings("features", FEATURES[vocoder]), "rate": rate})
    renderer = build(settings("vocoder", vocoder), features=features)
    wave = read(path, rate)
    original = Original(wave, features.analyse(wave, rate))
    start = time.process_time()
    made = renderer.render(original.frames, original)
    return said._replace(clip=Clip(Clip(made, rate).at(16000), 16000)), time.process_time() - start


def settings(group: str, name: str) -> dict[str, Any]:
    """One YAML of `conf`."""
    found: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{name}.yaml"))  # type: ignore[assignment]
    return found


def line(
    name: str, rate: str, copies: Sequence[tuple[EvaluatedUtterance, float]], metrics: Sequence[WaveformMetric]
) -> str:  # fmt: skip
    """A row of the table: means over the recordings; of all words for the word error rate."""
    scores = {s.metric: s.value for metric in metrics for s in metric([said for said, _ in copies])}
    seconds = sum(len(said.clip.wave) / said.clip.rate for said, _ in copies)
    scores["rtf"] = sum(taken for _, taken in copies) / seconds
    return f"| {name} | {rate} |" + " | ".join(f"{scores[c]:.3f}" if c in scores else "-" for c in COLUMNS) + " |"


if __name__ == "__main__":
    main()
