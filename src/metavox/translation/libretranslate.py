"""LibreTranslate's HTTP protocol, which many servers speak: the text is sent to the server that the user names."""

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException, HTTPResponse

from metavox.errors import ConfigError, MetavoxError
from metavox.translation.base import has_words
from metavox.translation.languages import base
from metavox.translation.text import restore

KEY = "LIBRETRANSLATE_API_KEY"
LARGEST = 1 << 20  # bytes of an answer; a page of text has some thousands
CHARACTERS = 2000  # of a request: the limit of public servers


class LibreTranslate:
    """Translates by `POST url/translate`. `timeout` is in seconds a request; a request holds up to 2000 characters.

    The key that some servers want is read from the environment variable LIBRETRANSLATE_API_KEY. Raises ConfigError
    without a usable `url`.
    """

    def __init__(self, url: str | None = None, timeout: float = 30.0) -> None:
        if not url:
            raise ConfigError(
                "translator.url is missing: name a LibreTranslate server, for example http://127.0.0.1:5000"
            )
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ConfigError(f"translator.url is {url!r}; give the address of a server, http://HOST:PORT")
        if not timeout > 0:
            raise ConfigError(f"translator.timeout is {timeout}; give the seconds that a translation may take")
        self.url, self.timeout = url.rstrip("/"), timeout

    def settings(self) -> dict[str, object]:
        """Engine and server, without the key."""
        return {"translator": "libretranslate", "url": self.url}

    def check(self, source: str, target: str) -> None:
        """Asks nothing: not every server tells its languages, and all refuse a pair that they do not have."""

    def translate(self, text: str, source: str, target: str) -> str:
        """See `Translator`."""
        parts = _pieces(restore(text, source).split("\n"))
        return "\n".join(self._ask(part, base(source), base(target)) if has_words(part) else part for part in parts)

    def _ask(self, text: str, source: str, target: str) -> str:
        question = {"q": text, "source": source, "target": target, "format": "text"}
        key = os.environ.get(KEY)
        data = json.dumps(question | ({"api_key": key} if key else {})).encode()
        request = urllib.request.Request(f"{self.url}/translate", data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                return self._translated(self._read(response))
        except urllib.error.HTTPError as error:
            with error:
                said = _reason(error.read(LARGEST)) or error.reason
            raise MetavoxError(
                f"the translator {self.url} refused {source} to {target}: {error.code} {said}"
            ) from error
        except (OSError, HTTPException) as error:
            cause = error.reason if isinstance(error, urllib.error.URLError) else error
            if isinstance(cause, TimeoutError):
                late = f"gave no answer within {self.timeout:g} s; raise translator.timeout or try again"
                raise MetavoxError(f"the translator {self.url} {late}") from error
            raise MetavoxError(f"the translator {self.url} cannot be reached or broke off ({cause})") from error

    def _read(self, response: HTTPResponse) -> bytes:
        """The answer within the time there is for all of it: a server that sends a byte now and then is late too."""
        end, parts, size = time.monotonic() + self.timeout, [], 0
        while part := response.read1(1 << 16):
            parts.append(part)
            size += len(part)
            if time.monotonic() > end:
                raise TimeoutError
            if size > LARGEST:
                raise MetavoxError(f"the translator {self.url} sent more than {LARGEST} bytes; that is no translation")
        return b"".join(parts)

    def _translated(self, answer: bytes) -> str:
        """Raises MetavoxError for an answer that holds no translation."""
        try:
            text = json.loads(answer)["translatedText"]
        except (ValueError, TypeError, KeyError):
            text = None
        if not isinstance(text, str) or not has_words(text):
            raise MetavoxError(
                f"the translator {self.url} answered without a translation ({answer[:80].decode(errors='replace')!r}); "
                "is it a LibreTranslate server?"
            )
        return text


def _reason(answer: bytes) -> str | None:
    """What a server says of an error, None where it says nothing that can be read."""
    try:
        return str(json.loads(answer)["error"])[:200]
    except (ValueError, TypeError, KeyError):
        return None


def _pieces(lines: list[str]) -> list[str]:
    """Whole lines joined to texts of at most `CHARACTERS`; a longer line stays alone."""
    pieces = lines[:1]
    for line in lines[1:]:
        if len(pieces[-1]) + len(line) < CHARACTERS:
            pieces[-1] += f"\n{line}"
        else:
            pieces.append(line)
    return pieces
