"""Recordings in the layout that the scorers of seed-tts-eval read: github.com/BytedanceSpeech/seed-tts-eval.

    bash cal_wer.sh DIR/meta.lst DIR/SYSTEM en
    bash cal_sim.sh DIR/meta.lst DIR/SYSTEM wavlm_large_finetune.pth

meta.lst has a line `utterance|prompt text|prompt wav|text` for each utterance; the prompt is a real recording of the
voice. A system's folder holds UTTERANCE.wav of those that it has made.
"""

import re
from pathlib import Path

from metavox.audio.whole import write_whole
from metavox.corpora.transcripts import transcript
from metavox.report.stimuli import COPY, NATURAL, Stimuli

META, PROMPTS = "meta.lst", "prompts"


def export(folder: Path, stimuli: Stimuli) -> list[str]:
    """Writes the layout; returns the utterances of which no text is known: their word error rate means nothing.

    Raises MetavoxError where the folder cannot be written.
    """
    texts = {s.task: s.text for s in sorted(stimuli.judged, key=lambda s: bool(s.text))}
    lines, unknown = [], []
    for task, text in texts.items():
        prompt = stimuli.references[task]
        place = Path(PROMPTS) / f"{_plain(task)}{prompt.suffix}"
        write_whole(folder / place, prompt.read_bytes())
        lines.append("|".join([_plain(task), _field(transcript(prompt) or ""), place.as_posix(), _field(text)]))
        unknown += [] if text else [task]
    for stimulus in stimuli.judged:
        if stimulus.system not in (NATURAL, COPY):  # of a run they are the prompt itself
            write_whole(folder / _plain(stimulus.system) / f"{_plain(stimulus.task)}.wav", stimulus.path.read_bytes())
    write_whole(folder / META, ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))
    return unknown


def _plain(name: str) -> str:
    """A name of letters, digits and dashes, which the scorers' shell scripts take."""
    return re.sub(r"[^\w-]+", "-", name).strip("-")


def _field(text: str) -> str:
    return " ".join(text.replace("|", " ").split())
