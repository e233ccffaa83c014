"""OpenAI's speech endpoint, asked by OpenAI's own client and by hand."""

import base64
import io
import json
import re
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest
import soundfile
import soxr

from metavox.errors import MetavoxError
from metavox.serve.encoding import PCM_RATE
from metavox.serve.studio import WAITING, Studio
from metavox.version import __version__
from serving import TEXTS, Server

LONG = "Birds sing early. Rain fell all night. We like fresh bread."


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as found:
        yield found


def pcm(data: bytes) -> np.ndarray:
    return np.frombuffer(data, "<i2").astype(np.float32) / 32767


def ask(server: Server, **body: object) -> tuple[int, dict[str, dict[str, str]]]:
    answer = server.http.post("/v1/audio/speech", json={"voice": "Zoë", "input": "Hello."} | body)
    return answer.status_code, answer.json() if "json" in answer.headers["content-type"] else {}


def test_the_client_gets_the_sound_of_the_public_face(client: openai.OpenAI, studio: Studio) -> None:
    answer = client.audio.speech.create(model="tts-1", voice="Zoë", input="Hello there.", response_format="wav")
    wave, rate = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    expected, own_rate = studio.library.load("Zoë").speak("Hello there.")
    assert rate == own_rate
    np.testing.assert_allclose(wave, np.clip(expected, -1, 1), atol=2 / 32767)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mp3", "opus", "flac", "aac"])
def test_formats_are_what_they_say(client: openai.OpenAI, kind: str) -> None:
    if kind == "aac" and not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed")
    answer = client.audio.speech.create(model="tts-1", voice="Zoë", input=LONG, response_format=kind)  # type: ignore[arg-type]
    start = {"mp3": b"ID3", "opus": b"OggS", "flac": b"fLaC", "aac": b"ID3"}[kind]
    assert answer.content.startswith(start) and len(answer.content) > 5000


def test_pcm_is_at_24_khz_and_the_headers_say_that_it_is_synthetic(server: Server, studio: Studio) -> None:
    body = {"voice": {"id": "Zoë"}, "input": "Hello there.", "response_format": "pcm"}
    answer = server.http.post("/v1/audio/speech", json=body)
    wave, rate = studio.library.load("Zoë").speak("Hello there.")
    np.testing.assert_allclose(pcm(answer.content), soxr.resample(wave, rate, PCM_RATE), atol=2e-3)
    assert answer.headers["x-synthetic-audio"] == f"true; voice=Zo%C3%AB; generator=metavox/{__version__}"


def test_a_long_text_arrives_sentence_by_sentence(
    client: openai.OpenAI, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second sentence is not begun before the first was heard."""
    voice, heard = studio.library.load("Zoë"), threading.Event()
    speak = voice.speak

    def waiting(text: str, *rest: object) -> tuple[np.ndarray, int]:
        assert text == TEXTS[0] or heard.wait(20)
        return speak(text, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(voice, "speak", waiting)
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="Zoë", input=LONG, response_format="pcm"
    ) as answer:
        parts = answer.iter_bytes()
        first = next(parts)
        heard.set()
        rest = b"".join(parts)
    expected = np.concatenate([speak(text)[0] for text in TEXTS])
    assert len(pcm(first + rest)) == pytest.approx(len(expected) * PCM_RATE / 16000, abs=2)


def test_server_sent_events_hold_the_same_sound(server: Server) -> None:
    body = {"voice": "Zoë", "input": LONG, "response_format": "pcm"}
    plain = server.http.post("/v1/audio/speech", json=body).content
    lines = server.http.post("/v1/audio/speech", json=body | {"stream_format": "sse"}).text.split("\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    assert {e["type"] for e in events[:-1]} == {"speech.audio.delta"} and events[-1]["type"] == "speech.audio.done"
    assert b"".join(base64.b64decode(e["audio"]) for e in events[:-1]) == plain


@pytest.mark.slow
@pytest.mark.parametrize("speed", [0.25, 2.0, 4.0])
def test_speed(client: openai.OpenAI, speed: float) -> None:
    def spoken(factor: float) -> bytes:
        return client.audio.speech.create(
            model="tts-1", voice="Zoë", input=LONG, response_format="pcm", speed=factor
        ).content

    assert len(spoken(1.0)) / len(spoken(speed)) == pytest.approx(speed, rel=0.25)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"input": ""}, "nothing to speak"),
        ({"input": " \x00\x07\n!?"}, "nothing to speak"),
        ({"input": "a" * 5000}, "input: .*4096"),
        ({"voice": "nobody"}, "no voice 'nobody'; there are: Zoë"),
        ({"voice": "../Zoë"}, "no voice"),
        ({"voice": "/etc/passwd"}, "no voice"),
        ({"voice": ""}, "no voice"),
        ({"voice": 7}, "voice: "),
        ({"voice": {"name": "Zoë"}}, "voice.id: "),
        ({"response_format": "amr"}, "response_format: .*mp3"),
        ({"speed": 0.1}, "speed: .*0.25"),
        ({"speed": 5}, "speed: .*4"),
        ({"speed": "fast"}, "speed: "),
        ({"stream_format": "rtp"}, "stream_format: "),
        ({"language": "klingon"}, "klingon"),
    ],
)  # fmt: skip
def test_what_cannot_be_given_is_a_400_with_one_sentence(server: Server, body: dict[str, object], says: str) -> None:
    status, answer = ask(server, **body)
    assert status == 400
    assert re.search(says, answer["error"]["message"])


def test_what_is_no_request_is_answered_too(server: Server) -> None:
    answer = server.http.post("/v1/audio/speech", content=b"{", headers={"content-type": "application/json"})
    assert answer.status_code == 400 and "JSON" in answer.json()["error"]["message"]
    answer = server.http.get("/v1/nothing")
    assert answer.status_code == 404 and answer.json()["error"]["message"]


def test_aac_without_ffmpeg(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    status, answer = ask(server, response_format="aac")
    assert status == 400 and "ffmpeg" in answer["error"]["message"]


def test_control_characters_are_not_spoken(server: Server, client: openai.OpenAI) -> None:
    plain, strange = (
        client.audio.speech.create(model="tts-1", voice="Zoë", input=text, response_format="pcm").content
        for text in ("Rain fell.", "Rain\x00 \x1b\ud800fell.".encode("utf-8", "replace").decode())
    )
    assert len(strange) == pytest.approx(len(plain), rel=0.3)


def test_models_and_voices(client: openai.OpenAI, server: Server) -> None:
    assert "tts-1" in [model.id for model in client.models.list()]
    assert server.http.get("/v1/audio/voices").json() == {"voices": [{"id": "Zoë", "name": "Zoë"}]}


def test_four_clients_at_once_get_what_they_asked_for(client: openai.OpenAI, studio: Studio) -> None:
    texts = ["One.", "Two and more.", "Three, and much more to say.", "Four."]

    def spoken(text: str) -> bytes:
        return client.audio.speech.create(model="tts-1", voice="Zoë", input=text, response_format="pcm").content

    alone = [spoken(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(spoken, texts * 2)) == alone * 2


def test_a_client_that_hangs_up_stops_the_work(server: Server, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    voice, spoken = studio.library.load("Zoë"), []
    speak = voice.speak
    monkeypatch.setattr(voice, "speak", lambda text, *rest: spoken.append(text) or speak(text, *rest))
    body = {"voice": "Zoë", "input": LONG * 20, "response_format": "pcm"}
    with server.http.stream("POST", "/v1/audio/speech", json=body) as answer:
        next(answer.iter_bytes())
    assert ask(server, response_format="wav")[0] == 200  # the next one is served
    assert len(spoken) < 30


def test_enrolment_from_upload_to_deletion(empty: Server, recordings: list[Path], tmp_path: Path) -> None:
    files = [("files", (path.name, path.read_bytes())) for path in recordings]
    form = {"name": "Ana María 声", "consent": "I agree", "texts": list(TEXTS)}
    answer = empty.http.post("/v1/audio/voices", data=form, files=files)
    assert answer.status_code == 200 and answer.json()["id"] == "Ana María 声"
    assert [p.name for p in (tmp_path / "voices").iterdir()] == ["Ana María 声.voice"]
    assert ask(empty, voice="Ana María 声", response_format="wav")[0] == 200
    assert empty.studio.library.load("Ana María 声").stored.provenance["consent"] == "I agree"
    again = empty.http.post("/v1/audio/voices", data=form, files=files)
    assert again.status_code == 409 and "taken" in again.json()["error"]["message"]
    assert empty.http.delete("/v1/audio/voices/Ana María 声").json()["deleted"] is True
    assert not list((tmp_path / "voices").iterdir())
    assert empty.http.delete("/v1/audio/voices/Ana María 声").status_code == 404
    assert ask(empty, voice="Ana María 声")[0] == 400


def test_of_forty_uploads_at_once_as_many_wait_as_may_and_the_others_are_told(
    empty: Server, recordings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    turned_away = threading.Semaphore(0)

    def make(*_: object) -> None:
        for _ in range(40 - WAITING):
            turned_away.acquire(timeout=30)
        turned_away.release(40)
        raise MetavoxError("not made, this is a test")

    monkeypatch.setattr(empty.studio, "_make", make)

    def send(number: int) -> int:
        files = [("files", (recordings[0].name, recordings[0].read_bytes()))]
        form = {"name": f"voice {number}", "consent": "yes"}
        answer = empty.http.post("/v1/audio/voices", data=form, files=files, timeout=60)
        assert answer.json()["error"]["message"]
        if answer.status_code == 429:
            turned_away.release()
        return answer.status_code

    with ThreadPoolExecutor(40) as pool:
        codes = list(pool.map(send, range(40)))
    assert codes.count(400) == WAITING and codes.count(429) == 40 - WAITING
    assert not empty.studio.library.names()


def test_a_text_in_another_script_is_spoken_with_a_warning(server: Server) -> None:
    plain, doubtful = (
        server.http.post("/v1/audio/speech", json={"voice": "Zoë", "input": text, "response_format": "wav"})
        for text in ("Hello.", "Привет, мир.")
    )
    assert plain.status_code == doubtful.status_code == 200
    assert "x-warning" not in plain.headers and "Cyrillic" in doubtful.headers["x-warning"]


@pytest.mark.parametrize(
    ("form", "names", "says"),
    [
        ({"name": "x"}, ["0.wav"], "consent"),
        ({"name": "x", "consent": "false"}, ["0.wav"], "consent"),
        ({"consent": "yes"}, ["0.wav"], "name"),
        ({"name": "x", "consent": "yes"}, [], "files"),
        ({"name": "../x", "consent": "yes"}, ["0.wav"], "cannot be the name"),
        ({"name": "/etc/x", "consent": "yes"}, ["0.wav"], "cannot be the name"),
        ({"name": ".x", "consent": "yes"}, ["0.wav"], "cannot be the name"),
        ({"name": "x" * 300, "consent": "yes"}, ["0.wav"], "characters"),
        ({"name": "x", "consent": "yes", "texts": ["a", "b"]}, ["0.wav"], "2 texts came with 1"),
        ({"name": "x", "consent": "yes"}, ["zip.wav"], "zip.wav is not a readable recording"),
        ({"name": "x", "consent": "yes"}, ["short.wav"], "short.wav is too short"),
        ({"name": "x", "consent": "yes"}, ["silent.wav"], "silent.wav is silent"),
        ({"name": "x", "consent": "yes"}, ["../../evil.wav"], "evil.wav is not a readable recording"),
    ],
)  # fmt: skip
def test_an_enrolment_that_cannot_be_leaves_nothing(
    empty: Server, recordings: list[Path], tmp_path: Path, form: dict[str, object], names: list[str], says: str
) -> None:
    def wav(samples: int) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, np.zeros(samples), 16000, format="WAV")
        return file.getvalue()

    content = {"0.wav": recordings[0].read_bytes(), "short.wav": wav(800), "silent.wav": wav(16000)}
    files = [("files", (name, content.get(name, b"PK\x03\x04 this is no recording"))) for name in names]
    answer = empty.http.post("/v1/audio/voices", data=form, files=files or [("other", b"")])
    message = answer.json()["error"]["message"]
    assert answer.status_code == 400 and says in message and "/tmp" not in message
    assert not (tmp_path / "voices").exists()


def test_two_enrolments_of_one_name_make_one_voice(empty: Server, recordings: list[Path]) -> None:
    def enrol(name: str) -> int:
        files = [("files", (path.name, path.read_bytes())) for path in recordings]
        answer = empty.http.post("/v1/audio/voices", data={"name": name, "consent": "yes"}, files=files)
        return answer.status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(enrol, ["Anna", "anna"])) == [200, 409]
    assert len(empty.studio.library.names()) == 1


def translate(server: Server, recording: bytes, **form: str) -> httpx.Response:
    files = {"file": ("talk.wav", recording)}
    return server.http.post("/v1/audio/translations", data={"voice": "Zoë", "target": "es"} | form, files=files)


def test_a_recording_in_another_language(
    server: Server, studio: Studio, recordings: list[Path], tmp_path: Path
) -> None:
    answer = translate(server, recordings[0].read_bytes(), response_format="wav")
    assert answer.status_code == 200
    done = answer.json()
    assert (done["transcript"], done["text"]) == ("Hello.\nThere.", "Hola.\nAllí.")
    assert done["spoken_by"] == "espeak-ng voice en-us+m3 in es"
    wave, rate = soundfile.read(io.BytesIO(base64.b64decode(done["audio"])), dtype="float32")
    assert len(wave) / rate == pytest.approx(done["seconds"], abs=1e-3)
    voice = studio.library.load("Zoë")
    expected = voice.translate(recordings[0], "es", tmp_path, asr=studio.asr, translator=studio.translator)
    np.testing.assert_allclose(wave, soundfile.read(expected.wave, dtype="float32")[0], atol=2 / 32767)


def test_texts_that_are_given_win(server: Server, recordings: list[Path]) -> None:
    recording = recordings[0].read_bytes()
    done = translate(server, recording, transcript="Bye. Xylograph.").json()
    assert (done["text"], done["unknown_words"]) == ("Adiós.\nXylograph.", ["Xylograph"])
    assert any("Xylograph" in warning for warning in done["warnings"])
    done = translate(server, recording, translation="¡Buenas!", fit="true").json()
    assert (done["text"], done["transcript"]) == ("¡Buenas!", "")
    assert base64.b64decode(done["audio"]).startswith(b"ID3")


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"target": "xx"}, "no language 'xx'"),
        ({"target": "en-gb"}, "translate=en-gb is the language of the recording already"),
        ({"target": ""}, "target: "),
        ({"voice": "nobody"}, "no voice 'nobody'; there are: Zoë"),
        ({"transcript": " ... "}, "transcript has no words"),
        ({"translation": "?"}, "translation has no words"),
        ({"response_format": "amr"}, "response_format: .*mp3"),
        ({"fit": "perhaps"}, "fit: "),
        ({"target": "e" * 30}, "target: .*20"),
    ],
)  # fmt: skip
def test_a_translation_that_cannot_be_is_one_sentence(
    server: Server, recordings: list[Path], form: dict[str, str], says: str
) -> None:
    answer = translate(server, recordings[0].read_bytes(), **form)
    message = answer.json()["error"]["message"]
    assert answer.status_code == 400 and re.search(says, message) and "/tmp" not in message


def test_what_is_no_recording_is_not_translated(
    server: Server, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wav(seconds: float, level: float = 0.1) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, np.random.default_rng(0).normal(0, level, round(seconds * 8000)), 8000, format="WAV")
        return file.getvalue()

    def refused(recording: bytes) -> str:
        answer = translate(server, recording)
        assert answer.status_code == 400 and "/tmp" not in answer.text
        return str(answer.json()["error"]["message"])

    assert "talk.wav is not a readable recording" in refused(b"PK this is no recording")
    assert "no words were recognised in talk.wav" in refused(wav(2, level=0))
    assert "talk.wav takes 11 minutes; 10 are the most here" in refused(wav(660))
    monkeypatch.setattr(studio, "asr", None)
    assert "talk.wav has no transcript" in refused(wav(2))
    monkeypatch.setattr(studio, "translator", None)
    assert "no translator and no translation" in refused(wav(2))
