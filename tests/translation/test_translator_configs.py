"""Every conf/translator/*.yaml builds what it names."""

import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from helpers import ROOT
from metavox.build import build
from metavox.errors import MetavoxError

FILES = sorted((ROOT / "conf" / "translator").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_translator_builds_or_says_what_it_needs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "argostranslate", None)
    config = OmegaConf.load(path)
    needs = {"apertium": ("command", "sh"), "libretranslate": ("url", "http://127.0.0.1:5000")}
    assert {*needs, "argos"} <= {file.stem for file in FILES}
    if path.stem in needs:
        key, value = needs[path.stem]
        assert key in config
        assert build(config, **{key: value}).settings()["translator"] == path.stem
    elif path.stem == "argos":
        with pytest.raises(MetavoxError, match="not installed"):
            build(config)
    else:
        assert build(config).settings()
