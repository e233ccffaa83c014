"""Tables from results.csv files: what is pooled, what is refused, what is said."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from metavox.errors import MetavoxError
from metavox.report.__main__ import main
from metavox.report.results import Results, find_runs, from_rows, read_results
from metavox.report.selection import Question
from metavox.report.table import Table, make_table
from metavox.report.tables import answer, overview, summarise, tables

Report = Callable[..., tuple[int, str, str]]


def row(**changes: object) -> dict[str, object]:
    base = {"dataset": "espeak", "pairing": "parallel", "algorithm": "maml", "seed": 0, "source": "a", "target": "b",
            "shots": 5, "steps": 5, "lr": 0.1, "metric": "mcd", "convention": "sprocket24", "value": 6.0}  # fmt: skip
    return base | changes


def folder(path: Path, *rows: dict[str, object], **config: object) -> Path:
    path.mkdir(parents=True)
    with (path / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list((rows or [row()])[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    if config:
        (path / "config.yaml").write_text(yaml.safe_dump(config))
    return path


def table(scores: list[dict[str, object]], **question: object) -> Table:
    return make_table(from_rows(scores), Question(**question))  # type: ignore[arg-type]


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Report:
    """Runs the command: (exit status, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["report", *map(str, arguments)])
        return main(), *capsys.readouterr()

    return run


def test_a_task_counts_once_however_many_seeds_scored_it() -> None:
    rows = [row(seed=s, target=t, value=v) for s, t, v in [(0, "b", 6), (1, "b", 8), (0, "c", 9), (1, "c", 9)]]
    cell = summarise(rows)["mcd/sprocket24"]["maml"]["5"]
    assert (cell["count"], cell["mean"]) == (2, 8.0)
    made = table(rows)
    assert made.cells["maml", "5"].summary == tuple(cell.values())
    assert made.cells["maml", "5"].seed_spread() == pytest.approx(0.5**0.5)  # 7.5 and 8.5
    assert made.notes[0] == "2 tasks of 2 speakers, 2 seeds (0, 1)"


def test_speakers_weigh_the_same_however_many_tasks_they_have() -> None:
    rows = [
        row(source=s, target=t, value=v) for s, t, v in [("x", "b", 1), ("y", "b", 3), ("z", "b", 5), ("x", "c", 9)]
    ]
    cell = table(rows).cells["maml", "5"]
    assert (cell.summary.count, cell.summary.mean, len(cell.scores)) == (2, 6.0, 4)


def test_runs_of_different_tasks_are_pooled(tmp_path: Path) -> None:
    for t, v in [("b", 6), ("c", 7), ("d", 8)]:
        folder(tmp_path / t, row(target=t, value=v))
    made = make_table(read_results(find_runs([tmp_path])), Question())
    assert made.cells["maml", "5"].summary.high == pytest.approx(7 + 2.484, abs=1e-3)  # t(2, .975) = 4.303, 1 / sqrt(3)
    assert "3 tasks of 3 speakers" in made.notes[0] and "too few to bootstrap" in made.notes[1]


def test_a_baseline_repeated_in_every_run_of_a_sweep_counts_once(tmp_path: Path) -> None:
    inner, runs = {"inner": {"lr": 0.1}}, []
    for name in ("maml", "reptile"):
        rows = [row(algorithm=a, target=t) for a in (name, "joint") for t in "bc"]
        config = {"choices": {"algorithm": name}, "algorithm": inner, "baselines": {"joint": inner}}
        runs.append(folder(tmp_path / name, *rows, **config))
    cells = make_table(read_results(runs), Question()).cells
    assert {place: len(c.scores) for place, c in cells.items()} == {
        ("maml", "5"): 2, ("joint", "5"): 2, ("reptile", "5"): 2
    }  # fmt: skip
    text = (runs[1] / "config.yaml").read_text().replace("lr: 0.1", "lr: 0.3")
    (runs[1] / "config.yaml").write_text(text)
    with pytest.raises(MetavoxError, match=r"differ in algorithm\.inner\.lr.*--where 'algorithm\.inner\.lr=0\.1'"):
        make_table(read_results(runs), Question())
    by_lr = make_table(read_results(runs), Question(columns="algorithm.inner.lr", where={"algorithm": ["joint"]}))
    assert list(by_lr.columns) == ["0.1", "0.3"]


def test_a_setting_that_differs_is_refused_unless_it_is_on_an_axis(tmp_path: Path) -> None:
    for seed, hidden in enumerate((64, 64, 256)):
        rows = [row(target=t, seed=seed, value=hidden) for t in "bc"]
        model = {"hidden": [hidden]}
        choices, tested = {"algorithm": "maml"}, f"other/{seed}"
        folder(tmp_path / str(seed), *rows, seed=seed, choices=choices, model=model, name=f"n{seed}", test=tested)
    results = read_results(find_runs([tmp_path]))
    with pytest.raises(MetavoxError, match=r"differ in model\.hidden.*--rows or --columns model\.hidden"):
        make_table(results, Question())
    made = make_table(results, Question(rows="model.hidden"))
    assert {r: c.seeds for r, _, c in made.present()} == {"[64]": ["0", "1"], "[256]": ["2"]}
    assert any(n == "[256] lacks scores: 2 of 2 tasks, seed 2" for n in made.notes)
    assert list(make_table(results, Question(where={"model.hidden": ["[256]"]})).cells) == [("maml", "5")]
    by_setting = overview(results, Question(columns="model.hidden"))  # and all metrics of each
    assert [list(t.columns) for t in by_setting] == [["[64]", "[256]"], ["mcd/sprocket24"], ["mcd/sprocket24"]]
    assert "model.hidden [256]" in by_setting[-1].title
    question, asked = answer(results, Question())
    assert question.columns == "model.hidden" and asked[0].columns == by_setting[0].columns
    with pytest.raises(MetavoxError, match=r"differ in model\.hidden"):
        answer(results, Question(), given=["rows", "columns"])
    with pytest.raises(MetavoxError, match=r"no run has a setting or a column model\.hiden; near: model\.hidden"):
        make_table(results, Question(rows="model.hiden"))


def sweep(path: Path, *configs: dict[str, object]) -> Results:
    """One run a config, all of maml."""
    for number, config in enumerate(configs):
        folder(
            path / str(number), *(row(target=t, value=number) for t in "bc"), choices={"algorithm": "maml"}, **config
        )
    return read_results(find_runs([path]))


@pytest.mark.parametrize("columns", ["optimizer", "choices.optimizer", "optimizer._target_", "optimizer.lr"])
def test_settings_that_change_together_share_an_axis(tmp_path: Path, columns: str) -> None:
    adam, sgd = {"_target_": "torch.optim.Adam", "lr": 0.1}, {"_target_": "torch.optim.SGD", "lr": 1, "momentum": 0}
    made = make_table(sweep(tmp_path, {"optimizer": adam}, {"optimizer": sgd}), Question(columns=columns))
    assert sorted(c.summary.mean for _, _, c in made.present()) == [0, 1]
    note = next((n for n in made.notes if "together" in n), "")
    assert ("optimizer.momentum" in note) == ("." in columns and "choices" not in columns)


def test_the_sentence_of_a_group_that_changed_names_the_group(tmp_path: Path) -> None:
    results = sweep(tmp_path, *({"optimizer": {"_target_": f"torch.optim.{n}", "lr": n}} for n in ("Adam", "SGD")))
    with pytest.raises(MetavoxError, match=r"show them all by --rows or --columns optimizer$"):
        make_table(results, Question())
    assert list(answer(results, Question())[1][0].columns) == ["Adam", "SGD"]


def test_choices_of_one_class_are_told_apart_by_their_settings(tmp_path: Path) -> None:
    results = sweep(tmp_path, *({"model": {"_target_": "a.MLP", "hidden": h, "context": 2}} for h in (64, 256)))
    assert list(make_table(results, Question(columns="model")).columns) == ["MLP (hidden 64)", "MLP (hidden 256)"]


def test_settings_that_change_apart_share_no_axis(tmp_path: Path) -> None:
    pairs = [(a, b) for a in (1, 2) for b in (3, 4)]
    results = sweep(tmp_path, *({"model": {"hidden": a}, "trainer": {"epochs": b}} for a, b in pairs))
    with pytest.raises(MetavoxError, match=r"differ in trainer\.epochs"):
        make_table(results, Question(columns="model.hidden"))
    assert answer(results, Question())[0].axes == ("trainer.epochs", "model.hidden")


def test_inputs_that_an_algorithm_brings_are_no_difference(tmp_path: Path) -> None:
    for name, inputs in (("maml", 0), ("cavia", 16)):
        own = {"context_inputs": inputs} if inputs else {}
        rows = [row(algorithm=a, target=t) for a in (name, "joint") for t in "bc"]
        folder(tmp_path / name, *rows, choices={"algorithm": name}, algorithm=own, model={"context_inputs": inputs},
               baselines={"joint": {"lr": 1}})  # fmt: skip
    made = make_table(read_results(find_runs([tmp_path])), Question())
    assert set(made.rows) == {"maml", "cavia", "joint"}
    with pytest.raises(MetavoxError, match="context_inputs"):
        make_table(sweep(tmp_path / "own", *({"model": {"context_inputs": n}} for n in (0, 16))), Question())


def test_the_command_that_a_sweep_prints_works_where_k_was_swept(tmp_path: Path, report: Report) -> None:
    for k in (1, 5):
        folder(
            tmp_path / str(k),
            *(row(shots=k, target=t) for t in "bc"),
            dataset={"shots": k},
            choices={"algorithm": "maml"},
        )
    status, out, err = report(tmp_path)
    assert status == 0 and "1 shot" in out and "5 shots" in out and "runs differ in shots: shown as columns" in err
    assert out.count("all metrics") == 2


def test_no_cell_mixes_shots_steps_or_data() -> None:
    rows = [row(shots=k, steps=s, target=t, value=k + s) for k in (1, 5) for s in (1, 5, 20) for t in "bc"]
    with pytest.raises(MetavoxError, match="would mix shots 1, 5; choose one by --where shots=5, or show them all"):
        table(rows)
    by_shots = table(rows, columns="shots")
    assert [c.summary.mean for _, _, c in by_shots.present()] == [6, 10] and "steps 5" in by_shots.title
    assert [c.summary.mean for _, _, c in table(rows, columns="shots", where={"steps": ["20"]}).present()] == [21, 25]
    assert table(rows, rows="steps", columns="shots").cells["20", "1"].summary.mean == 21
    with pytest.raises(MetavoxError, match="mix dataset espeak, fsdd"):
        table([row(), row(dataset="fsdd")])
    with pytest.raises(MetavoxError, match="no result has steps=7; there are 1, 5, 20"):
        table(rows, where={"steps": ["7"]})


def test_the_shots_of_training_are_shown_where_a_run_was_tested_with_several(tmp_path: Path) -> None:
    rows = [row(shots=k, target=t, value=k) for k in (1, 5, 10) for t in "bc"]
    run = folder(tmp_path / "run", *rows, dataset={"shots": 5}, choices={"algorithm": "maml"})
    made = make_table(read_results([run]), Question())
    assert made.cells["maml", "5"].summary.mean == 5 and "shots 5" in made.title


def test_conventions_do_not_share_a_table(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", row(), row(convention="aligned24"))
    other = folder(tmp_path / "other", row(target="c", convention="aligned24"))
    results = read_results([one, other])
    with pytest.raises(MetavoxError, match="other has mcd/aligned24, other runs mcd/sprocket24"):
        make_table(results, Question())
    assert len(make_table(results, Question(metric="mcd/aligned24")).cells["maml", "5"].scores) == 2
    with pytest.raises(MetavoxError, match="choose one by --metric: mcd/sprocket24, mcd/aligned24"):
        make_table(results, Question(metric="mcd"))


def test_ceilings_hold_for_every_number_of_steps_and_shots() -> None:
    rows = [row(shots=k, steps=s, target=t, value=10 - s) for k in (1, 5) for s in (0, 5) for t in "bc"]
    rows += [row(algorithm="copy-synthesis", shots=5, steps=0, target=t, value=1) for t in "bc"]
    for columns, where in (("steps", {"shots": ["1"]}), ("shots", {"steps": ["5"]})):
        made = table(rows, columns=columns, where=where)
        assert [c.summary.mean for r, _, c in made.present() if r == "copy-synthesis"] == [1, 1]
        assert made.rows == ["maml", "copy-synthesis"] and not any(c.best for _, _, c in made.present())


def test_differences_are_paired_by_task_and_steps() -> None:
    """Tasks differ much more than the algorithms do, and the difference is sure all the same."""
    values = [("b", 5), ("c", 9), ("d", 14), ("e", 7), ("f", 8), ("g", 10)]
    rows = [row(algorithm=a, target=t, value=v + d) for t, v in values for a, d in (("maml", 0), ("joint", 1))]
    rows.append(row(algorithm="joint", steps=20, target="b", value=1))
    made = table(rows, against="joint")
    cell = made.cells["maml", "5"]
    assert cell.difference and (cell.difference.mean, cell.difference.high) == (-1, -1)
    assert cell.p and cell.p.adjusted == 2 / 2**6 and cell.best
    assert made.cells["joint", "5"].difference is None
    text = tables(rows, 5)
    assert "minus joint" in text and "▸8.8 ± 3.1*" in text
    assert "minus" not in tables([row(), row(target="c")], 5)


def test_columns_that_older_files_lack_choose_all_the_same(tmp_path: Path) -> None:
    old = folder(tmp_path / "old", row(target="a"))
    new = folder(
        tmp_path / "new", *(row(target=t, voices=v) for t, v in (("b", "same"), ("c", "cross"), ("d", "same")))
    )
    made = make_table(read_results([old, new]), Question(columns="voices"))
    assert {column: len(cell.scores) for _, column, cell in made.present()} == {"-": 1, "same": 2, "cross": 1}
    assert not any("lacks" in note for note in made.notes)


def test_higher_is_better_for_some_metrics() -> None:
    rows = [row(metric="secs", convention="resemblyzer", algorithm=a, target=t, value=v)
            for a, v in (("maml", 0.8), ("joint", 0.7)) for t in "bcdefg"]  # fmt: skip
    made = overview(from_rows(rows), Question(against="joint"))[0]
    assert made.cells["maml", "5"].best and made.better == {"5": True}


def test_tasks_that_diverged_are_counted_averaged_nowhere_and_never_best() -> None:
    rows = [row(target=t, value=v) for t, v in [("b", 6), ("c", "nan"), ("d", 8)]]
    rows += [row(algorithm="joint", target=t, value="nan") for t in "bcd"]
    rows += [row(algorithm="ridge", target=t, value=9) for t in "bcd"]
    made = table(rows)
    assert made.cells["maml", "5"].summary.mean == 7 and not made.cells["maml", "5"].best
    lines = tables(rows, 5).splitlines()
    assert lines[2].endswith("7 ± 13 (1×)") and lines[3].split() == ["joint", "diverged"]
    assert "4 in all" in tables(rows, 5)


def test_a_task_that_diverged_for_one_seed_counts_as_diverged() -> None:
    rows = [row(seed=s, target=t, value=v) for s, t, v in [(0, "b", 6), (1, "b", "nan"), (0, "c", 9), (1, "c", 7)]]
    cell = summarise(rows)["mcd/sprocket24"]["maml"]["5"]
    assert (cell["count"], cell["diverged"], cell["mean"]) == (1, 1, 8.0)


def test_no_other_number_of_steps_stands_in_for_the_one_asked_for() -> None:
    rows = [row(steps=s, target=t, value=10 - s) for s in (0, 3) for t in "bc"]
    rows += [row(algorithm="joint", steps=s, target=t, value=20 - s) for s in (0, 5) for t in "bc"]
    made = table(rows, columns="metric", steps=3)
    assert {r: c.summary.mean for r, _, c in made.present()} == {"maml": 7}
    with pytest.raises(MetavoxError, match="after 4 inner steps; there are 0, 3, 5"):
        table(rows, columns="metric", steps=4)


def test_several_shots_in_one_run_are_never_averaged() -> None:
    rows = [row(shots=k, target=t, value=k) for k in (1, 5) for t in "bc"]
    assert set(summarise(rows)["mcd/sprocket24"]["maml"]) == {"1 shots, 5 steps", "5 shots, 5 steps"}
    with pytest.raises(MetavoxError, match="would mix shots 1, 5"):
        tables(rows, 5)


def test_folders_without_results_are_named_and_left_out(tmp_path: Path, report: Report) -> None:
    sweep = tmp_path / "sweep"
    folder(sweep / "0", row(), row(target="c"))
    folder(sweep / "0" / "baselines" / "joint", row(algorithm="wrong"))
    (sweep / "1").mkdir()
    (sweep / "1" / "config.yaml").write_text("seed: 1\n")
    other = folder(tmp_path / "paper")
    (other / "results.csv").write_text("method,mean\nMAML,1\n")
    status, out, err = report(sweep, sweep / "0", tmp_path / "nothing", other)
    assert status == 0 and "maml" in out and "2 tasks" in out and "wrong" not in out
    assert f"no results in {sweep / '1'}" in err and f"no results in {tmp_path / 'nothing'}" in err
    assert f"no results of train.py in {other / 'results.csv'}" in err
    assert report(tmp_path / "nothing")[0] == 2


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-20], "line 3 of"),
        (lambda text: text[:-1], "ends in the middle of line 3"),
        (lambda text: text.replace("6.0", "six", 1), "line 2 of"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, report: Report, damage: Callable[[str], str], message: str) -> None:
    file = folder(tmp_path / "one", row(), row(target="c", value=6.25)) / "results.csv"
    file.write_text(damage(file.read_text()))
    status, _, err = report(file.parent)
    assert status == 2 and message in err and str(file) in err and "resume=RUN" in err and err.count("\n") == 1


def test_what_is_not_there_is_named(tmp_path: Path, report: Report) -> None:
    one = folder(tmp_path / "one", row(), row(target="c"))
    for options, message in (
        (["--steps", "7"], "after 7 inner steps; there are 5"),
        (["--against", "foo"], "no run has foo"),
        (["--metric", "wer"], "no single metric is called wer"),
        (["--where", "steps"], "--where takes KEY=VALUE, not steps"),
        (["--output", one / "results.csv" / "deep"], "choose another folder"),
    ):
        status, _, err = report(one, *options)
        assert status == 2 and message in err and err.count("\n") == 1
