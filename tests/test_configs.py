"""Every YAML composes and builds what it names, and says what it is."""

import re
from pathlib import Path

import pytest
import torch
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf

from helpers import ROOT, compose_train
from metavox.build import build
from metavox.cli.reference import reference
from metavox.errors import ConfigError, MetavoxError
from metavox.experiments.checks import check

GROUPS = (
    "dataset",
    "features",
    "vocoder",
    "pairing",
    "model",
    "algorithm",
    "optimizer",
    "scheduler",
    "trainer",
    "logger",
    "callbacks",
    "baselines",
    "listen",
)
CHOICES = [
    (g, p.stem)
    for g in GROUPS
    for p in sorted((ROOT / "conf" / g).glob("*.yaml"))
    if (g, p.stem) != ("pairing", "auto")
]


def test_there_are_as_many_choices_as_we_think() -> None:
    assert len(CHOICES) >= 40
    assert {g for g, _ in CHOICES} == set(GROUPS)


@pytest.mark.parametrize("path", sorted((ROOT / "conf").rglob("*.yaml")), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_yaml_opens_with_what_it_is(path: Path) -> None:
    assert path.read_text().startswith("#")


def refusal(vocoder: DictConfig, features: str, more: dict[str, str]) -> str:
    """What a vocoder says against features of this kind, nothing where it renders them."""
    try:
        assert callable(build(vocoder, features=build(compose_train(f"features={features}").features), **more).render)
    except MetavoxError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("group", "name"), CHOICES, ids=[f"{g}={n}" for g, n in CHOICES])
def test_every_choice_composes_and_builds(group: str, name: str, tmp_path: Path) -> None:
    needs_root = "\nroot: ???" in (ROOT / "conf" / group / f"{name}.yaml").read_text()
    root = [f"dataset.root={tmp_path}"] if needs_root else []
    without_speech = ["dataset=sinusoid"] if (group, name) in {("pairing", "none"), ("features", "none")} else []
    config = compose_train(f"{group}={name}", *root, *without_speech, f"cache={tmp_path}")
    check(config)
    node = config[group]
    OmegaConf.to_container(node, resolve=True)
    if group == "dataset":
        parts = [build(config[k]) if config[k] else None for k in ("features", "pairing")]
        assert build(node, features=parts[0], pairing=parts[1]).shots >= 1
    elif group == "vocoder":
        more = {"checkpoint": str(tmp_path / "none.pt")} if "checkpoint" in node else {}
        refusals = [refusal(node, kind, more) for kind in ("world", "mel", "mel_wavernn")]  # one kind fits, at least
        assert any("none.pt" in text for text in refusals) if more else "" in refusals
    elif group == "model":
        assert build(node, input_dim=4, output_dim=4)(torch.zeros(2, 3, 4)).shape == (2, 3, 4)
    elif (group, name) == ("features", "ssl"):  # fetches its weights
        with pytest.raises(ConfigError, match="NO_BUNDLE"):
            build(node, bundle="NO_BUNDLE")
    elif group in ("logger", "callbacks", "baselines", "listen"):
        assert all("_target_" in entry for entry in node.values())
    elif group == "algorithm":
        model = build(config.model, input_dim=4, output_dim=4)
        try:
            build(node, model=model)
        except ConfigError as error:  # an algorithm that needs context inputs says so
            assert "context_inputs" in str(error)
            build(node, model=build(config.model, input_dim=4, output_dim=4, context_inputs=2))
    elif node:
        build(node, **({} if group != "trainer" else {"logger": False}))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.inference_mode=true", "inference_mode"),
        ("evaluation.steps=[]", "evaluation.steps"),
        ("evaluation.steps=[-1]", "evaluation.steps"),
        ("evaluation.listen_steps=[7]", "evaluation.listen_steps"),
        ("evaluation.listen_steps=5", "evaluation.listen_steps"),
        ("evaluation.lrs=[0]", "evaluation.lrs"),
        ("seed=-1", "seed"),
        ("seed=4294967296", "seed is 4294967296"),
        ("seed=true", "seed is True"),
        ("data_seed=0.5", "data_seed is 0.5"),
        ("dataset.split.seed=-3", "dataset.split.seed is -3"),
        ("+trainer.precision=64-true", "trainer.precision is 64-true"),
        ("+trainer.precision=bf16-true", "trainer.precision is bf16-true"),
        ("+trainer.limit_val_batches=0", "trainer.limit_val_batches is 0"),
        ("+trainer.limit_test_batches=0.5", "trainer.limit_test_batches is 0.5"),
        ("+trainer.limit_train_batches=0", "trainer.limit_train_batches is 0"),
        ("+trainer.fast_dev_run=true", "trainer.fast_dev_run"),
        ("+trainer.val_check_interval=1000", "trainer.val_check_interval is 1000"),
        ("+trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches is 0"),
        ("algorithm.inner.steps=1.5", "algorithm.inner.steps is 1.5; give int"),
        ("+model.units=3", "model.units is no argument of MLP; leave it out, '~model.units' where a preset sets it"),
        ("algorithm.inner.lr=fast", "algorithm.inner.lr is fast"),
        ("baselines.joint.inner.steps=two", "baselines.joint.inner.steps is two"),
        ("model.hidden=abc", "model.hidden is abc"),
        ("model.context=1.5", "model.context is 1.5"),
    ],
)
def test_values_that_would_fail_late_are_refused_early(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(compose_train(override))


def test_a_validation_in_the_middle_of_an_accumulated_step_is_refused() -> None:
    every = ("+trainer.val_check_interval=50", "+trainer.accumulate_grad_batches=3")
    with pytest.raises(ConfigError, match="give a multiple of 3"):
        check(compose_train(*every))
    check(compose_train("+trainer.val_check_interval=50", "+trainer.accumulate_grad_batches=5"))
    check(compose_train("+trainer.val_check_interval=0.25", "+trainer.precision=bf16-mixed"))


def test_bad_arguments_are_one_sentence_with_the_key() -> None:
    with pytest.raises(ConfigError, match=r"dataset\.shots is 0"):
        config = compose_train("dataset.shots=0")
        build(config.dataset, features=build(config.features), pairing=build(config.pairing))
    with pytest.raises(ConfigError, match=r"activation"):
        build(compose_train("model.activation=softplusplus").model, input_dim=4, output_dim=4)


def test_a_misspelt_key_is_refused() -> None:
    with pytest.raises(ConfigCompositionException, match="algorthm"):
        compose_train("algorthm.inner.lr=1")


def test_the_config_reference_is_what_the_configs_say() -> None:
    """What the page says is true. An option that it does not name yet is no error: a new YAML needs no other change."""
    sections = [
        set(re.split(r"\n(?=##)", text.strip())) for text in ((ROOT / "docs/config.md").read_text(), reference())
    ]
    stale = {section.splitlines()[0] for section in sections[0] - sections[1]}
    assert not stale, "python -m metavox.cli.reference > docs/config.md"
