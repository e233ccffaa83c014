"""Equal error rates against closed forms, trials of a run, and printed tables on speech made from their files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from helpers import SMALL, compose_train
from metavox.errors import ConfigError
from metavox.evaluation.eer import TRIAL, Verification, equal_error_rate, pooled_rate
from metavox.evaluation.metrics import Score
from metavox.evaluation.waveform import Clip, EvaluatedUtterance
from metavox.experiments.papers.speech import run_speech_paper
from metavox.experiments.papers.speech_table import cells
from metavox.experiments.papers.table import SEEN
from metavox.experiments.run_folder import read_rows, write_rows, write_yaml
from metavox.experiments.train import run

HUANG = "experiment=paper/huang2021_meta_tts"


def rate(genuine: Sequence[float], impostor: Sequence[float]) -> float:
    kinds = np.array([True] * len(genuine) + [False] * len(impostor))
    return equal_error_rate(np.array([*genuine, *impostor], dtype=float), kinds)


def test_separable_scores_have_no_errors_and_swapped_ones_nothing_else() -> None:
    assert rate([0.8, 0.9], [0.1, 0.2, 0.7]) == 0
    assert rate([0.1, 0.2], [0.8, 0.9, 0.7]) == 1


def test_identical_distributions_are_a_coin() -> None:
    assert rate([1, 2, 3, 4], [1, 2, 3, 4]) == pytest.approx(0.5)
    assert rate([7, 7], [7, 7, 7]) == pytest.approx(0.5)  # all accepted or none


def test_rates_by_hand() -> None:
    """Thresholds between 0.4 and 0.5 refuse one of four and accept one of four; below, the ROC between two points."""
    assert rate([0.9, 0.8, 0.5, 0.3], [0.6, 0.4, 0.2, 0.1]) == pytest.approx(0.25)
    # falling threshold: (refused, accepted) goes (1, 0), (1/2, 0), (1/2, 1/3), (0, 1/3); equal on the last piece
    assert rate([0.9, 0.5], [0.6, 0.2, 0.1]) == pytest.approx(1 / 3)
    # (1/2, 0) to (0, 1) in one piece, where a genuine and the impostor tie: 1/2 - t/2 = t
    assert rate([0.9, 0.5], [0.5]) == pytest.approx(1 / 3)


def test_two_normal_distributions_meet_halfway() -> None:
    random = np.random.default_rng(0)
    found = rate(random.normal(2, 1, 40000).tolist(), random.normal(0, 1, 40000).tolist())
    assert found == pytest.approx(0.158655, abs=0.004)  # Phi(-1)


def test_weights_are_repetitions() -> None:
    scores, kinds = np.array([0.9, 0.5, 0.6, 0.2]), np.array([True, True, False, False])
    often = equal_error_rate(np.repeat(scores, [1, 3, 2, 1]), np.repeat(kinds, [1, 3, 2, 1]))
    assert equal_error_rate(scores, kinds, np.array([1.0, 3, 2, 1])) == pytest.approx(often)
    assert np.isnan(equal_error_rate(scores, kinds, np.array([0.0, 0, 2, 1])))
    assert np.isnan(rate([], []))


def trial(target: str, against: str, score: float, algorithm: str = "maml", steps: str = "0") -> dict[str, str]:
    return {"algorithm": algorithm, "seed": "0", "source": "s", "target": target, "against": against, "shots": "5",
            "steps": steps, "score": str(score)}  # fmt: skip


def test_the_interval_is_over_target_speakers() -> None:
    """One speaker of eight is always mistaken: 1/8, and resamples may lack that speaker or have it often."""
    names = [f"v{i}" for i in range(8)]
    rows = [trial(t, a, float((t == a) != (t == "v0"))) for t in names for a in (t, "other") for _ in range(5)]
    found = pooled_rate([*rows, trial("v1", "v1", float("nan"))])
    assert found.value == pytest.approx(1 / 8) and (found.genuine, found.impostor, found.speakers) == (40, 40, 8)
    assert found.low == 0 and 0.3 < found.high <= 0.7
    few = pooled_rate(rows[:30])
    assert few.value == pytest.approx(1 / 3) and np.isnan(few.low)


class Parrot(Verification):
    """A verification whose embedding of a clip is what the clip holds."""

    def __init__(self) -> None:
        self.centroids = {}
        self.asked = 0

    def embed(self, clip: Clip) -> np.ndarray | None:
        self.asked += 1
        return clip.wave if len(clip.wave) else None


def test_trials_are_cosines_to_the_own_centroid_and_to_all_others() -> None:
    x, y, none = (Clip(np.array(v), 16000) for v in ([1.0, 0.0], [0.0, 1.0], []))
    listener = Parrot()
    said = EvaluatedUtterance(
        x, [x, y], [y], impostors={"b": lambda: [y, y], "c": lambda: [x, none], "d": lambda: [none]}
    )
    assert listener([said]) == [
        Score("secs", "ge2e-centroid", pytest.approx(0.5**0.5)),
        Score("source_secs", "ge2e-centroid", 0.0),
        Score(TRIAL, "", pytest.approx(0.5**0.5)),
        Score(TRIAL, "b", 0.0),
        Score(TRIAL, "c", 1.0),
    ]
    assert [s.metric for s in listener([said._replace(clip=none)])] == ["secs", "source_secs"]


class Loud(Verification):
    """Hears levels, which is enough to count trials."""

    def __init__(self) -> None:
        self.centroids = {}

    def embed(self, clip: Clip) -> np.ndarray | None:
        return np.array([1.0, float(np.abs(clip.wave).mean())])


@pytest.mark.slow
def test_a_run_writes_its_trials_apart(cache: Path, tmp_path: Path) -> None:
    wanted = [*SMALL, "baselines=none", "+listen.eer._target_=test_speech_paper.Loud", f"cache={cache}"]
    run(compose_train(*wanted, "evaluation.listen_steps=[0,2]"), tmp_path, [])
    trials, results = (read_rows(tmp_path / name) for name in ("trials.csv", "results.csv"))
    targets = {row["target"] for row in results}
    assert {row["against"] for row in trials} == targets and len(targets) == 2
    assert {row["metric"] for row in results} >= {"secs", "mcd"} and TRIAL not in {row["metric"] for row in results}
    per = 2 * 2  # tasks of one query each, against both voices
    assert [len([r for r in trials if r["algorithm"] == a]) for a in ("maml", "natural")] == [2 * per, per]
    assert {row["steps"] for row in trials if row["algorithm"] == "maml"} == {"0", "2"}


# -- the table --------------------------------------------------------------------------------------------------------


def preset(*overrides: str) -> DictConfig:
    chosen = {"dataset": "librispeech", "pairing": "tts", "model": "mlp", "algorithm": "maml"}
    return compose_train(HUANG, "dataset.root=DIR", *overrides, **chosen)


def test_the_preset_composes_at_both_scales() -> None:
    full, quick = (OmegaConf.to_container(preset(f"paper.scale={s}"), resolve=True) for s in ("full", "quick"))
    assert full["dataset"]["subsets"] == {"train": ["train-clean-100"], "validation": 0.1, "test": ["test-clean"]}
    assert quick["dataset"]["split"]["train"] == ["test-other"] and quick["trainer"]["max_epochs"] == 2
    assert {*quick["baselines"]} == {"identity", "joint"} and {*quick["listen"]} == {"eer"}
    assert quick["evaluation"]["listen_steps"] == [0, 5, 10, 20, 50, 100] and quick["dataset"]["shots"] == 5
    held_out = [speaker for fold in quick["paper"]["folds"] for speaker in fold]
    assert len(held_out) == len({*held_out}) == 7
    assert preset("paper.scale=quick", "dataset.test_queries=1").dataset.test_queries == 1  # a scale gives way
    printed = [row for m in full["paper"]["metrics"].values() for row in m["printed"]]
    assert all(row["seen"] in SEEN for row in printed) and len(printed) == 18


def test_the_table_of_meta_tts_draws_enough_for_forty_test_speakers_where_recordings_are_cut() -> None:
    cut = OmegaConf.to_container(preset("paper.scale=cut"), resolve=True)
    assert cut["dataset"]["split"]["test"] == 44 and cut["dataset"]["pieces"] == 1.3
    assert cut["pairing"]["voices"] == ["piper:en_US-joe-medium", "en-us+m3"]


def test_the_table_of_knn_vc_composes_at_every_scale() -> None:
    chosen = {"dataset": "librispeech", "pairing": "nearest", "model": "mlp", "algorithm": "maml"}
    for scale, test in (("full", "test-clean"), ("cut", "test-other"), ("quick", "test-other")):
        wanted = ("experiment=paper/baas2023_knn_vc", f"paper.scale={scale}", "dataset.root=DIR")
        plain = OmegaConf.to_container(compose_train(*wanted, **chosen), resolve=True)
        assert plain["dataset"]["subsets"]["test"] == [test] and len(plain["listen"]) == 2
        assert {*plain["paper"]["metrics"]} == {"wer", "cer", "secs"} and plain["evaluation"]["listen_steps"] == [5]
        assert all(row["seen"] in SEEN for m in plain["paper"]["metrics"].values() for row in m["printed"])


def write_fold(place: Path, config: DictConfig, voices: Sequence[str]) -> None:
    """What a run of a fold leaves: MAML is perfect after five steps and a coin before."""
    score = {"0": lambda own: 0.5, "5": lambda own: float(own)}
    trials = [trial(t, a, score[s](t == a), "maml", s) for s in score for t in voices for a in voices]
    secs = [{**trial(t, t, 0), "algorithm": "natural", "metric": "secs", "value": str(i)} for i, t in enumerate(voices)]
    for name, rows in (("trials.csv", trials), ("results.csv", secs)):
        write_rows(place / name, list(rows[0]), rows)
    write_yaml(place / "config.yaml", config)
    (place / "summary.json").write_text("{}")


def test_folds_are_run_once_and_pooled_into_one_table(tmp_path: Path) -> None:
    asked: list[list[str]] = []

    def fake(config: DictConfig, place: Path, _: list[str]) -> None:
        asked.append(list(map(str, config.dataset.split.test)))
        assert config.paper is None
        write_fold(place, config, asked[-1])

    config = preset("paper.scale=quick", f"paper.output={tmp_path}")
    assert run_speech_paper(config, fake, []) == tmp_path
    assert asked == [["1688", "1998", "2609"], ["2414", "367"], ["3005", "533"]]
    text = (tmp_path / "table.md").read_text()
    (ours,) = [line for line in text.splitlines() if line.startswith("| **ours**: MAML") and "50.0" in line]
    assert ours.startswith("| **ours**: MAML | - | - | 50.0 [50.0, 50.0] | 0.0 [0.0, 0.0] | - |")
    assert "| Meta-TTS, LibriTTS | R | - | 46.83 | 21.3 | 17.76 | 16 | 14.68 | 13.53 |" in text
    assert "Scale **quick**: orders only" in text and "Not the same task" in text and "7 + 10" in text
    assert "worse" not in text and "better |" not in text
    (tmp_path / "fold-1" / "summary.json").unlink()
    run_speech_paper(config, fake, [])
    assert asked[3:] == [["2414", "367"]]
    run_speech_paper(preset("paper.scale=quick", f"paper.output={tmp_path}", "seed=1"), fake, [])
    assert len(asked) == 7  # other settings: run() decides


def test_similarities_are_means_over_speakers() -> None:
    row = {"metric": "secs", "algorithm": "maml", "steps": "5"}
    rows = [{**row, "source": s, "target": t, "value": str(v)} for s, t, v in
            (("a", "x", 0.2), ("b", "x", 0.4), ("a", "y", 0.9))]  # fmt: skip
    assert cells(rows, [])["secs", "maml", "5"].value == pytest.approx((0.3 + 0.9) / 2)


def test_what_no_step_changes_is_counted_once() -> None:
    rows = [trial("x", a, 0.5, "identity", s) for s in ("0", "5") for a in ("x", "y")]
    assert cells([], rows)["eer", "identity", "none"].trials == "1 + 1"


def test_an_unknown_scale_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"paper\.scale=huge: use one of quick, cut, full"):
        run_speech_paper(preset("paper.scale=huge"), lambda *_: None, [])
