"""Apertium: rule-based, offline, a set of Debian packages, driven through its command."""

import functools
import os
import re
import shutil
import signal
import subprocess

from metavox.errors import ConfigError, MetavoxError
from metavox.translation.base import Translation, has_words
from metavox.translation.languages import spellings
from metavox.translation.text import restore

PAIRS = """
afr-nld arg-cat bel-rus br-fr cat-ita cat-srd dan-nor en-gl eng-cat eng-spa eo-ca eo-en eo-es eo-fr es-gl es-pt es-ro
eu-en eu-es fr-es fra-cat fra-frp hbs-eng hbs-mkd hbs-slv ind-zlm isl-eng isl-swe mkd-bul mkd-eng nno-nob oc-ca oc-es
oci-fra pol-szl por-cat pt-gl rus-ukr spa-arg spa-ast spa-cat spa-ita srd-ita swe-dan swe-nor urd-hin
"""
"""Those of Debian 12: the package of a pair is called apertium- and the pair, and often translates both ways."""

_MARK = re.compile(r"(?<![^\W_])[*@#](?=[^\W_])")  # unknown to the analyser, the dictionary, the generator

_I = re.compile(r"\bI\b")  # has its capital from `restore`


class Apertium:
    """Translates through the command `apertium`, all lines in one call of about a second.

    `mode` names one of Apertium's own modes in place of the one that fits the languages (`eng-cat_valencia`), `timeout`
    is in seconds a call. Raises MetavoxError where the command is not installed.
    """

    def __init__(self, command: str = "apertium", mode: str | None = None, timeout: float = 60.0) -> None:
        self.command, self.mode, self.timeout = command, mode, timeout
        if not timeout > 0:
            raise ConfigError(f"translator.timeout is {timeout}; give the seconds that a translation may take")
        if shutil.which(command) is None:
            raise MetavoxError(
                f"the translator Apertium is not installed (no command {command!r}); apt-get install apertium "
                "and the package of the pair, for example apertium-eng-spa, or choose another translator"
            )

    def settings(self) -> dict[str, object]:
        """Engine and mode; Apertium tells no version of a pair."""
        return {"translator": "apertium", "mode": self.mode}

    def check(self, source: str, target: str) -> None:
        """See `Translator`."""
        self.mode_of(source, target)

    def translate(self, text: str, source: str, target: str) -> Translation:
        """See `Translator`. Case and sentence ends are restored before Apertium sees the text.

        Words that it did not know in a text without capitals are tried once more as names, with a capital.
        """
        if not has_words(text):
            return Translation(text)
        mode = self.mode_of(source, target)
        asked = restore(_MARK.sub(" ", text), source)
        answer = self._ask(asked, mode)
        unknown = {word for word in _unknown(answer) if word.islower()}
        if unknown and not any(c.isupper() for line in _I.sub("", text).splitlines() for c in line[1:]):
            named = re.sub(rf"\b({'|'.join(map(re.escape, sorted(unknown)))})\b", lambda w: w[0].capitalize(), asked)
            again = self._ask(named, mode)
            answer = again if len(_unknown(again)) < len(_unknown(answer)) else answer
        lines = "\n".join(" ".join(line.split()) for line in _MARK.sub("", answer).split("\n"))
        return Translation(lines, _unknown(answer))

    @functools.cached_property
    def modes(self) -> list[str]:
        """The modes of all pairs that are installed."""
        return self._call(["-l"], "").split()

    def mode_of(self, source: str, target: str) -> str:
        """The mode for two languages. Raises ConfigError with the package that brings it."""
        modes = self.modes
        if self.mode is not None:
            wanted = [self.mode]
        else:
            wanted = [f"{a}-{b}" for a in spellings(source) for b in spellings(target)]
        found = [mode for mode in wanted if mode in modes]
        found = found or [mode for mode in modes if mode.partition("_")[0] in wanted]
        if not found:
            there = ", ".join(mode for mode in modes if "_" not in mode) or "no pair"
            raise ConfigError(f"{self._missing(source, target, modes)} (installed: {there})")
        return found[0]

    def _missing(self, source: str, target: str, modes: list[str]) -> str:
        """Why there is no mode, and the way out."""
        if self.mode is not None:
            return f"Apertium has no mode {self.mode!r} here; leave translator.mode out or choose one that is there"
        back = {f"{b}-{a}" for a in spellings(source) for b in spellings(target)}
        if back & set(modes):
            return f"Apertium's pair translates {target} to {source} but not back; choose another translator"
        either = back | {f"{a}-{b}" for a in spellings(source) for b in spellings(target)}
        package = next((pair for pair in PAIRS.split() if pair in either), None)
        if package is None:
            return f"Apertium has no pair {source} to {target}; choose another translator or give translation="
        return f"Apertium's pair {source} to {target} is not installed; apt-get install apertium-{package}"

    def _ask(self, text: str, mode: str) -> str:
        """Raises MetavoxError where the answer has not as many lines as the question, or none of its words."""
        answer = self._call(["-f", "txt", mode], text + "\n").removesuffix("\n")
        if not has_words(answer) or answer.count("\n") != text.count("\n"):
            raise MetavoxError(f"Apertium ({mode}) broke off: {len(text)} characters in, {len(answer)} out; try again")
        return answer

    def _call(self, arguments: list[str], text: str) -> str:
        """Runs the command, a pipeline of a dozen processes, and ends all of them when it takes too long."""
        process = subprocess.Popen(
            [self.command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, env={**os.environ, "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        try:
            out, err = process.communicate(text.encode(), self.timeout)
        except subprocess.TimeoutExpired as error:
            raise MetavoxError(
                f"Apertium gave no answer within {self.timeout:g} s; raise translator.timeout or translate less at once"
            ) from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        if process.returncode != 0:
            said = (err.decode(errors="replace").strip().splitlines() or ["no message"])[0]
            raise MetavoxError(f"Apertium failed (exit code {process.returncode}): {said}")
        return out.decode(errors="replace")


def _unknown(answer: str) -> list[str]:
    """The words that Apertium marked, without their marks."""
    return [re.split(r"[^\w'’-]", part)[0] for part in _MARK.split(answer)[1:]]
