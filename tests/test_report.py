"""Tables from results.csv files: what is pooled, what is refused."""

import csv
from pathlib import Path

import pytest

from metavox.app.runfolder import COLUMNS
from metavox.errors import MetavoxError
from metavox.report.__main__ import main
from metavox.report.tables import by_metric, by_steps, differences, read_rows, summarise, tables


def row(**changes: object) -> dict[str, object]:
    base = {"dataset": "espeak", "pairing": "parallel", "algorithm": "maml", "seed": 0, "source": "a", "target": "b",
            "shots": 5, "steps": 5, "lr": 0.1, "metric": "mcd", "convention": "sprocket24", "value": 6.0}  # fmt: skip
    return base | changes


def folder(path: Path, *rows: dict[str, object]) -> Path:
    path.mkdir()
    with (path / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_task_counts_once_however_many_seeds_scored_it() -> None:
    rows = [row(seed=s, target=t, value=v) for s, t, v in [(0, "b", 6), (1, "b", 8), (0, "c", 9), (1, "c", 9)]]
    cell = summarise(rows)["mcd/sprocket24"]["maml"]["5"]
    assert (cell["count"], cell["mean"]) == (2, 8.0)


def test_runs_of_different_tasks_are_pooled(tmp_path: Path) -> None:
    runs = [folder(tmp_path / t, row(target=t, value=v)) for t, v in [("b", 6), ("c", 7), ("d", 8)]]
    text = tables(read_rows(runs), 5)
    assert "3 tasks" in text and "7 ± 2.5" in text  # t(2 degrees, .975) = 4.30 times 1 / sqrt(3)


def test_steps_are_columns_in_numerical_order() -> None:
    rows = [row(steps=s, target=t, value=10 - s / 10) for s in (20, 0, 5) for t in "bc"]
    header = by_steps(summarise(rows)["mcd/sprocket24"], "mcd").splitlines()[1].split()
    assert header == ["0", "steps", "5", "steps", "20", "steps"]


def test_differences_are_paired_by_task_and_steps() -> None:
    """Tasks differ much more than the algorithms do, and the difference is sure all the same."""
    rows = [
        row(algorithm=a, target=t, value=v + d)
        for t, v in (("b", 5), ("c", 9), ("d", 14))
        for a, d in (("maml", 0), ("joint", 1))
    ]
    rows.append(row(algorithm="joint", steps=20, target="b", value=1))
    found = differences(rows, "mcd/sprocket24", "joint")
    assert set(found) == {"maml"} and set(found["maml"]) == {"5"}
    assert (found["maml"]["5"]["mean"], found["maml"]["5"]["high"]) == (-1, -1)
    assert "minus that of joint" in tables(rows, 5)
    assert "minus" not in tables([row(), row(target="c")], 5)


def test_different_corpora_or_shots_do_not_share_a_table(tmp_path: Path) -> None:
    one, other = folder(tmp_path / "one", row()), folder(tmp_path / "other", row(shots=1))
    with pytest.raises(MetavoxError, match="1 shots, espeak/parallel/5 shots"):
        read_rows([one, other])


def test_a_folder_without_results_is_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = folder(tmp_path / "one", row(), row(target="c"))
    monkeypatch.setattr("sys.argv", ["report", str(one), str(tmp_path / "nothing")])
    assert main() == 0
    out, err = capsys.readouterr()
    assert "maml" in out and f"no results in {tmp_path / 'nothing'}" in err
    monkeypatch.setattr("sys.argv", ["report", str(tmp_path / "nothing")])
    assert main() == 2


def test_tasks_that_diverged_are_counted_and_not_averaged() -> None:
    rows = [row(target=t, value=v) for t, v in [("b", 6), ("c", "nan"), ("d", 8)]]
    rows += [row(algorithm="joint", target=t, value="nan") for t in "bcd"]
    summary = summarise(rows)
    assert summary["mcd/sprocket24"]["maml"]["5"]["mean"] == 7
    lines = by_steps(summary["mcd/sprocket24"], "mcd").splitlines()
    assert "3 tasks, n* diverged and left out" in lines[0]
    assert lines[2].endswith("7 ± 13 (1*)") and lines[3].endswith("diverged")


def test_a_task_that_diverged_for_one_seed_counts_as_diverged() -> None:
    rows = [row(seed=s, target=t, value=v) for s, t, v in [(0, "b", 6), (1, "b", "nan"), (0, "c", 9), (1, "c", 7)]]
    cell = summarise(rows)["mcd/sprocket24"]["maml"]["5"]
    assert (cell["count"], cell["diverged"], cell["mean"]) == (1, 1, 8.0)


def test_no_other_number_of_steps_stands_in_for_the_one_asked_for() -> None:
    rows = [row(steps=s, target=t, value=10 - s) for s in (0, 3) for t in "bc"]
    rows += [row(algorithm="joint", steps=s, target=t, value=20 - s) for s in (0, 5) for t in "bc"]
    rows += [row(algorithm="copy-synthesis", steps=0, target=t, value=1) for t in "bc"]
    found = {line.split()[0]: line.split()[1:2] for line in by_metric(summarise(rows), 3).splitlines()[2:]}
    assert found == {"maml": ["7"], "joint": [], "copy-synthesis": ["1"]}


def test_one_algorithm_trained_two_ways_does_not_share_a_table(tmp_path: Path) -> None:
    one, other = folder(tmp_path / "one", row()), folder(tmp_path / "other", row(seed=1))
    text = "seed: {seed}\nchoices: {{algorithm: maml}}\nalgorithm: {{inner: {{lr: {lr}}}}}\n"
    text += "dataset: {{split: {{test: [{seed}]}}}}\n"
    (one / "config.yaml").write_text(text.format(seed=0, lr=0.1))
    (other / "config.yaml").write_text(text.format(seed=1, lr=0.1))
    assert len(read_rows([one, other])) == 2
    (other / "config.yaml").write_text(text.format(seed=1, lr=0.2))
    with pytest.raises(MetavoxError, match=r"differ in algorithm\.inner\.lr"):
        read_rows([one, other])


def test_steps_and_baselines_that_are_not_there_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = str(folder(tmp_path / "one", row(), row(target="c")))
    for options, message in (
        (["--steps", "7"], "after 7 inner steps; there are 5"),
        (["--against", "foo"], "no run has foo"),
    ):
        monkeypatch.setattr("sys.argv", ["report", one, *options])
        assert main() == 2
        assert message in capsys.readouterr().err
