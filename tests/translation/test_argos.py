"""Argos: what it says when it or a package is missing, and its real engine on a package built by hand, since those that
can translate come from a host that tests cannot ask."""

import io
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from metavox.errors import ConfigError, MetavoxError
from metavox.translation.argos import Argos


def stand_in(monkeypatch: pytest.MonkeyPatch, answer: object) -> None:
    """A module with the three names of argostranslate.translate that are used, knowing English to Spanish."""

    def translate(text: str) -> str:
        if isinstance(answer, Exception):
            raise answer
        return text.upper()

    spanish = SimpleNamespace(code="es", get_translation=lambda other: None)
    english = SimpleNamespace(
        code="en", get_translation=lambda other: SimpleNamespace(translate=translate) if other is spanish else None
    )
    module = ModuleType("argostranslate.translate")
    module.get_installed_languages = lambda: [english, spanish]  # type: ignore[attr-defined]
    package = ModuleType("argostranslate")
    package.translate = module  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "argostranslate", package)
    monkeypatch.setitem(sys.modules, "argostranslate.translate", module)


def test_a_pair_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, None)
    assert Argos().translate("it is\ngood", "en-us", "spa") == "IT IS.\nGOOD."
    assert Argos().translate("...", "en", "es") == "..."


@pytest.mark.parametrize(("source", "target"), [("es", "en"), ("en", "fr"), ("xx", "yy")])
def test_a_pair_that_is_not_names_its_package(monkeypatch: pytest.MonkeyPatch, source: str, target: str) -> None:
    stand_in(monkeypatch, None)
    with pytest.raises(ConfigError, match=rf"installed languages: en, es.*translate-{source}_{target}"):
        Argos().translate("Hello.", source, target)


def test_an_engine_that_fails_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, RuntimeError("model.bin is broken"))
    with pytest.raises(MetavoxError, match=r"RuntimeError: model\.bin is broken"):
        Argos().translate("Hello.", "en", "es")


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "argostranslate", None)
    with pytest.raises(MetavoxError, match=r"pip install -e .*argos"):
        Argos()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the import of its engines warns
@pytest.mark.skipif(find_spec("argostranslate") is None, reason="argostranslate is not installed")
def test_the_real_package_without_any_pair(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(ConfigError, match="installed languages: none"):
        Argos().translate("Hello.", "en", "es")


def build_package(folder: Path) -> None:
    """English to Spanish as argostranslate keeps it: a Transformer of random weights, which answers in nonsense."""
    sentencepiece = pytest.importorskip("sentencepiece")
    from ctranslate2.specs import TransformerSpec

    folder.mkdir(parents=True)
    known = {"from_code": "en", "from_name": "English", "to_code": "es", "to_name": "Spanish"}
    (folder / "metadata.json").write_text(json.dumps({"package_version": "1", "argos_version": "1.9", **known}))
    words, size, random = io.BytesIO(), 8, np.random.default_rng(0)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["it is good", "the ship is red"]), model_writer=words, vocab_size=28,
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    (folder / "sentencepiece.model").write_bytes(words.getvalue())
    pieces = sentencepiece.SentencePieceProcessor(model_proto=words.getvalue())
    tokens = ["<blank>", "<s>", "</s>", *map(pieces.id_to_piece, range(3, pieces.get_piece_size()))]
    spec = TransformerSpec.from_config(1, 2, pre_norm=True)

    def fill(layer: Any, rows: int, columns: int = size) -> None:
        layer.weight = random.normal(0, 0.3, (rows, columns)).astype(np.float32)
        layer.bias = np.zeros(rows, np.float32)

    def normalise(layer: Any) -> None:
        layer.gamma, layer.beta = np.ones(size, np.float32), np.zeros(size, np.float32)

    for side, embeddings in ((spec.encoder, spec.encoder.embeddings[0]), (spec.decoder, spec.decoder.embeddings)):
        embeddings.weight = random.normal(0, 1, (len(tokens), size)).astype(np.float32)
        side.position_encodings.encodings = np.zeros((1024, size), np.float32)
        normalise(side.layer_norm)
        (layer,) = side.layer
        parts = [(layer.self_attention, (3 * size, size))]
        parts += [(layer.attention, (size, 2 * size, size))] if side is spec.decoder else []
        for attention, rows in parts:
            normalise(attention.layer_norm)
            for linear, count in zip(attention.linear, rows, strict=True):
                fill(linear, count)
        normalise(layer.ffn.layer_norm)
        fill(layer.ffn.linear_0, 2 * size)
        fill(layer.ffn.linear_1, size, 2 * size)
    fill(spec.decoder.projection, len(tokens))
    spec.register_source_vocabulary(tokens)
    spec.register_target_vocabulary(tokens)
    spec.validate()
    (folder / "model").mkdir()
    spec.save(str(folder / "model"))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("argostranslate") is None, reason="argostranslate is not installed")
def test_the_real_engine_on_a_package_built_by_hand(tmp_path: Path) -> None:
    """In a process of its own: where packages lie is read at the import. Its splitter of sentences, whose models come
    from yet another host, gives the text as it is."""
    build_package(tmp_path / "argos-translate" / "packages" / "translate-en_es-1")
    code = """
import argostranslate.sbd
argostranslate.sbd.MiniSBDSentencizer.split_sentences = lambda self, text: [text]
from metavox.translation.argos import Argos
from metavox.translation.base import has_words, translate_lines
engine = Argos()
engine.check("en-us", "spa")
lines = translate_lines(engine, ["It is good.", "The ship is red."], "en", "es")
assert len(lines) == 2 and all(map(has_words, lines)), lines
try:
    engine.check("es", "en")
except Exception as error:
    print(type(error).__name__, error)
"""
    places = dict.fromkeys(("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | places, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ConfigError Argos has no package for es to en (installed languages: en, es)" in done.stdout
