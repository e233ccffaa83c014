"""A stranger's file runs no code: not in a checkpoint, nor in a run folder, nor in a sweep."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from helpers import ROOT, compose_train
from metavox.errors import ConfigError
from metavox.offers import conf_folder, offers
from metavox.stored import StoredConfig

MODEL = {"_target_": "metavox.models.mlp.MLP", "hidden": [8], "context": 1}
INNER = {"_target_": "metavox.algorithms.gradient.InnerLoop", "steps": 2}
MAML = {"_target_": "metavox.algorithms.maml.MAML", "inner": INNER}
DEEP: Any = []
for _ in range(5000):
    DEEP = [DEEP]


def attacks(canary: str) -> dict[str, tuple[dict[str, Any], str]]:
    """{name: (config, the key that the refusal names)}; each would write `canary`, or take what it should not."""
    code, write = f"open({canary!r}, 'w')", {"_target_": "builtins.open", "file": canary, "mode": "w"}
    return {
        "another module by a trusted prefix": ({"features": {
            "_target_": "metavox.audio.files.np.testing.runstring", "astr": code, "dict": {}}}, "features"),
        "torch.hub by torch.nn": ({"model": {"_target_": "torch.nn.functional.torch.hub.load", "repo": "x"}}, "model"),
        "our own function that writes": ({"features": {
            "_target_": "metavox.audio.whole.write_whole", "path": canary, "data": "x"}}, "features"),
        "a class of another group": ({"model": MAML}, "model"),
        "a method": ({"model": {"_target_": "hydra.utils.get_method", "path": "os.system"}}, "model"),
        "nested where conf has none": ({"model": {**MODEL, "context": write}}, "model.context"),
        "in a list": ({"model": {**MODEL, "hidden": [write]}}, "model.hidden.0"),
        "in a tuple": ({"model": {**MODEL, "hidden": (write,)}}, "model.hidden"),
        "in another dict": ({"model": {**MODEL, "activation": OrderedDict(write)}}, "model.activation"),
        "as the inner loop": ({"algorithm": {**MAML, "inner": write}}, "algorithm.inner"),
        "another class at an inner key": ({"algorithm": {**MAML, "inner": MODEL}}, "algorithm.inner"),
        "positional": ({"model": {**MODEL, "_args_": [canary]}}, "model._args_"),
        "partial": ({"model": {**MODEL, "_partial_": True}}, "model._partial_"),
        "an interpolation": ({"model": {**MODEL, "activation": "${oc.env:HOME}"}}, "model.activation"),
        "a resolver as a key": ({"model": {**MODEL, "${oc.create:{}}": 1}}, "model"),
        "an unknown argument": ({"model": {**MODEL, "hiden": [8]}}, "hiden is no argument.*did you mean hidden"),
        "a text for a list": ({"model": {**MODEL, "hidden": "abc"}}, "model.hidden"),
        "a share of a step": ({"algorithm": {**MAML, "inner": {**INNER, "steps": 1.5}}}, "algorithm.inner.steps"),
        "true for a number": ({"model": {**MODEL, "context": True}}, "model.context"),
        "more memory than there is": ({"model": {**MODEL, "hidden": [10**9]}}, "model.hidden.0"),
        "no end": ({"algorithm": {**MAML, "inner": {**INNER, "steps": 10**12}}}, "algorithm.inner.steps"),
        "no number": ({"algorithm": {**MAML, "inner": {**INNER, "lr": float("nan")}}}, "algorithm.inner.lr"),
        "very deep": ({"model": {**MODEL, "hidden": DEEP}}, "nested too deeply"),
        "no dict": ({"model": [MODEL]}, "model"),
        "a target that is a list": ({"model": {"_target_": ["os.system"]}}, "model"),
    }  # fmt: skip


@pytest.mark.parametrize("name", attacks(""))
def test_a_stored_config_builds_what_conf_offers_and_nothing_else(name: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    config, message = attacks(str(canary))[name]
    whole = {"features": {}, "model": MODEL, "algorithm": MAML, **config}
    stored = StoredConfig("stranger.ckpt", whole, offers(("features", "model", "algorithm")))
    with pytest.raises(ConfigError, match=rf"^stranger\.ckpt: .*{message}"):
        stored.check(*config)
    assert not canary.exists()


def test_what_conf_offers_is_built_without_hydra() -> None:
    stored = StoredConfig("own", {"model": MODEL, "algorithm": MAML}, offers(("model", "algorithm")))
    stored.check("model", "algorithm")
    algorithm = stored.build("algorithm", model=stored.build("model", input_dim=3, output_dim=3))
    assert (type(algorithm).__name__, algorithm.inner.steps) == ("MAML", 2)
    with pytest.raises(ConfigError, match="own: model"):
        stored.build("model", input_dim=3)


def test_a_class_of_ones_own_is_trusted_by_word_or_by_its_config_folder(tmp_path: Path) -> None:
    own = {"_target_": "collections.Counter"}
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "own.yaml").write_text("_target_: collections.Counter\n")
    with pytest.raises(ConfigError, match="trust=true"):
        StoredConfig("x", {"model": own}, offers()).check("model")
    for stored in (
        StoredConfig("x", {"model": own}, offers(), trust=True),
        StoredConfig("x", {"model": own}, offers((), (tmp_path,))),
    ):
        stored.check("model")
        assert stored.build("model") == {}


RUNS = (
    ["algorithm=reptile", "baselines=family", "scheduler=cosine", "optimizer=sgd"],
    ["dataset=sinusoid"],
    ["optimizer=adamw", "callbacks=early_stopping"],
    ["trainer=ddp", "logger=mlflow", "listen=[secs,mcd,wer]", "vocoder=diffvc"],
    ["dataset=librispeech", "dataset.root=a", "dataset.split.test=[1688,a]", "experiment=librispeech_alpaca"],
)


@pytest.mark.parametrize("overrides", RUNS, ids=lambda o: o[0])
def test_every_run_of_ours_may_go_on(overrides: list[str]) -> None:
    plain = OmegaConf.to_container(compose_train(*overrides), resolve=True)
    StoredConfig("config.yaml", plain, offers()).check()  # type: ignore[arg-type]


def test_results_go_to_no_store_of_a_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = {"logger": {"mlflow": {"_target_": "metavox.experiments.mlflow.MLflow", "tracking_uri": "http://a.b"}}}
    with pytest.raises(ConfigError, match=r"logger\.mlflow\.tracking_uri is 'http://a\.b'.* MLFLOW_TRACKING_URI"):
        StoredConfig("config.yaml", theirs, offers()).check()
    StoredConfig("config.yaml", theirs, offers(), trust=True).check()
    for own in ("http://a.b", "/shared/mlruns"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", own)
        theirs["logger"]["mlflow"]["tracking_uri"] = own
        StoredConfig("config.yaml", theirs, offers()).check()


def test_published_configs_may_be_built() -> None:
    files = sorted((ROOT / "docs" / "results").glob("*.config.yaml"))
    assert len(files) > 4
    for file in files:
        plain = OmegaConf.to_container(OmegaConf.load(file))
        StoredConfig(file, plain, offers()).check("features", "model", "algorithm")  # type: ignore[arg-type]


def test_the_config_folder_is_part_of_the_package() -> None:
    assert conf_folder().resolve() == ROOT / "conf"
    assert (conf_folder() / "train.yaml").is_file() and conf_folder().parent.name == "metavox"
