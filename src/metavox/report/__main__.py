"""Tables and plots of any set of runs, pooled over folds and seeds, with intervals over test speakers.

python -m metavox.report outputs/librispeech_tts/folds                 # every run below a folder
python -m metavox.report SWEEP --columns shots --where steps=5         # algorithm x K after five steps
python -m metavox.report SWEEP --rows model.hidden --where algorithm=maml
python -m metavox.report RUN RUN --metric mcd/aligned24 --output report/
python -m metavox.report RUN --listening TEST                            # a page for listeners: TEST/page/index.html
python -m metavox.report --listening TEST --answers answers-*.csv        # what they heard
"""

import argparse
import io
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from metavox.errors import MetavoxError

LISTENING = "write a listening test of the audio of runs, or of folders of adapt.py, there; see docs/report.md"
OUTPUT = "write table.md, .tex and .csv, plots as PNG and PDF and report.html there"


def main() -> int:
    """The command; its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may hold bytes that are no text
    try:
        options = parse(sys.argv[1:])
        if options.listening or options.seed_tts_eval or options.answers:
            listen(options)
        else:
            report(options)
    except MetavoxError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # | head has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def report(options: argparse.Namespace) -> None:
    """What the command does. Raises MetavoxError."""
    from metavox.audio.whole import check_writable  # here: Ctrl-C while libraries are loaded, and a quick --help
    from metavox.report.files import write_report
    from metavox.report.formats import texts
    from metavox.report.results import find_runs, read_results
    from metavox.report.selection import Question
    from metavox.report.tables import answer, check_against

    if options.output:
        check_writable(options.output)
    results = read_results(find_runs(options.runs))
    question = Question(
        options.rows or "algorithm", options.columns or "steps", conditions(options.where), options.metric,
        options.steps, options.against or "joint",
    )  # fmt: skip
    if options.against:
        check_against(results, question)
    given = [name for name in ("rows", "columns") if getattr(options, name)]
    question, made = answer(results, question, given)
    if options.output:
        command = shlex.join(["python", "-m", "metavox.report", *sys.argv[1:]])
        write_report(options.output, results, question, made, int(options.audio * 2**20), command)
    print(texts(made), flush=True)
    if options.output:
        print(f"\nwritten: {options.output / 'report.html'}")


def listen(options: argparse.Namespace) -> None:
    """A listening test, what its answers say, or an export for another scorer. Raises MetavoxError."""
    from metavox.report.answers import read_answers, summary
    from metavox.report.listening import trials, write_test
    from metavox.report.seed_tts_eval import export
    from metavox.report.stimuli import stimuli

    if options.answers:
        if not options.listening:
            raise MetavoxError("--answers needs --listening DIR, the folder that the test was written to")
        print(summary(read_answers(options.answers, options.listening)))
        return
    found = stimuli(options.runs, conditions(options.where).get("algorithm", []))
    if options.listening:
        page = write_test(options.listening, found, options.trials, options.against)
        scores, comparisons = trials(found, options.against)
        print(
            f"{scores} recordings to score, {comparisons} to compare; a listener gets at most {options.trials} of each"
        )
        print(f"give {page.parent} to listeners, keep {options.listening / 'key.json'}; answers come as CSV files:")
        print(f"python -m metavox.report --listening {options.listening} --answers FILE ...")
    if options.seed_tts_eval:
        unknown = export(options.seed_tts_eval, found)
        print(f"written: {options.seed_tts_eval / 'meta.lst'}")
        if unknown:
            print(f"no text is known of {len(unknown)} utterances: score their similarity only, not their words")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        "python -m metavox.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="run folders of train.py, or folders of them")
    axis = "a column of results.csv (algorithm, shots, steps, seed ...) or a config key (model.hidden)"
    parser.add_argument("--rows", metavar="KEY", help=f"{axis}; default: algorithm")
    default = "as --rows, or metric; default: steps, or what runs differ in"
    parser.add_argument("--columns", metavar="KEY", help=default)
    where = "keep only these, several values with commas: steps=5 shots=1,5 model.hidden=[256]"
    parser.add_argument("--where", nargs="+", default=[], action="extend", metavar="KEY=VALUE", help=where)
    parser.add_argument("--metric", help="name/convention; default: mcd/sprocket24, else the first mcd, else the loss")
    parser.add_argument("--steps", type=int, help="inner steps where no column shows them (default: 5, else the most)")
    parser.add_argument("--against", metavar="ROW", help="baseline of the paired tests (default: joint, if there)")
    parser.add_argument("--output", type=Path, metavar="DIR", help=OUTPUT)
    parser.add_argument("--audio", type=float, default=20, metavar="MB", help="of audio in report.html (default: 20)")
    parser.add_argument("--listening", type=Path, metavar="DIR", help=LISTENING)
    parser.add_argument("--trials", type=int, default=30, help="most of each kind that a listener gets (default: 30)")
    parser.add_argument("--answers", type=Path, nargs="+", metavar="CSV", help="summarise what listeners have saved")
    parser.add_argument("--seed-tts-eval", type=Path, metavar="DIR", help="write recordings as its scorers read them")
    options = parser.parse_args(arguments)
    if not options.runs and not options.answers:
        parser.error("name run folders of train.py, or folders of them")
    return options


def conditions(texts: Sequence[str]) -> dict[str, list[str]]:
    """["steps=1,5", "model.hidden=[64, 64]"] -> {key: its values}; commas within brackets separate nothing."""
    found: dict[str, list[str]] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not (key and sign and value):
            raise MetavoxError(f"--where takes KEY=VALUE, not {text}; run folders come before it")
        found.setdefault(key, []).extend([value] if value.startswith("[") else value.split(","))
    return found


if __name__ == "__main__":
    sys.exit(main())
