"""OpenAI's speech endpoint, and the voices to speak in: /v1/audio/speech, /v1/audio/voices, /v1/models; and ours
that translates, /v1/audio/translations."""

import base64
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Literal, cast

from fastapi import APIRouter, FastAPI, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from metavox.adaptation.script import script_warning
from metavox.audio.files import FFMPEG, SUFFIXES, read
from metavox.audio.synthetic import headers
from metavox.errors import AudioError, ConfigError, MetavoxError
from metavox.serve.encoding import MEDIA_TYPES, check_format, encode_whole, open_encoder
from metavox.serve.errors import NoSuchVoiceError
from metavox.serve.guard import error_body
from metavox.serve.library import describe
from metavox.serve.studio import Studio, Upload, Wave
from metavox.serve.texts import sentences

LONGEST_INPUT = 4096  # characters, as OpenAI's
MODELS = ("metavox", "tts-1")
"""Names for the one model there is; clients that insist on a model of OpenAI's find one."""


class VoiceId(BaseModel):
    """How newer clients name a voice."""

    id: str


class SpeechRequest(BaseModel):
    """The body of /v1/audio/speech. `model` may be anything, `instructions` are not followed; `language` is ours."""

    input: str = Field(max_length=LONGEST_INPUT)
    voice: str | VoiceId
    model: str = MODELS[0]
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: float = Field(default=1.0, ge=0.25, le=4.0)
    stream_format: Literal["audio", "sse"] = "audio"
    instructions: str | None = None
    language: str | None = Field(default=None, max_length=20)

    @property
    def voice_name(self) -> str:
        return self.voice if isinstance(self.voice, str) else self.voice.id


class TranslationRequest(BaseModel):
    """The form of /v1/audio/translations, which is ours: OpenAI's answers with a text in English only.

    `transcript` and `translation` take the place of the engines, `fit` keeps the length of the recording.
    """

    file: UploadFile
    voice: str
    target: str = Field(max_length=20)
    source: str | None = Field(default=None, max_length=20)
    transcript: str | None = None
    translation: str | None = None
    fit: bool = False
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"


def router(studio: Studio) -> APIRouter:
    """The routes under /v1."""
    routes = APIRouter(prefix="/v1")

    @routes.get("/models")
    async def models() -> dict[str, object]:
        return {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "metavox"} for name in MODELS]}

    @routes.get("/audio/voices")
    async def voices() -> dict[str, object]:
        return {"voices": [{"id": name, "name": name} for name in studio.library.names()]}

    @routes.post("/audio/speech")
    async def speech(asked: SpeechRequest) -> Response:
        return await speak(studio, asked)

    @routes.post("/audio/voices")
    async def enrol(
        request: Request, name: Annotated[str, Form()], files: list[UploadFile], consent: Annotated[str, Form()] = "",
        texts: Annotated[list[str] | None, Form()] = None,
    ) -> dict[str, object]:  # fmt: skip
        return await add_voice(studio, name, consent, files, texts)

    @routes.post("/audio/translations")
    async def translation(asked: Annotated[TranslationRequest, Form()]) -> dict[str, object]:
        return await translate(studio, asked)

    @routes.delete("/audio/voices/{name:path}")
    async def delete(name: str) -> dict[str, object]:
        studio.library.delete(name)
        return {"id": name, "object": "voice", "deleted": True}

    @routes.api_route("/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    async def unknown(rest: str) -> None:
        raise HTTPException(404, "there is no such address here; see docs/use_your_voice.md")

    return routes


async def speak(studio: Studio, asked: SpeechRequest) -> Response:
    """The answer to a request for speech; what goes wrong in the first sentence is still an error of the request."""
    name, kind = asked.voice_name, asked.response_format
    check_format(kind)
    pieces = sentences(asked.input)
    try:
        waves = studio.speak(name, pieces, asked.speed, asked.language)
        first = await anext(waves)
    except NoSuchVoiceError as error:
        raise ConfigError(str(error)) from None  # 400: the request is wrong, the address is not
    said = headers(name) | ({"X-Ignored": "instructions"} if asked.instructions else {})
    if doubt := script_warning(asked.input, asked.language or studio.library.load(name).language):
        said["X-Warning"] = doubt
    if asked.stream_format == "sse":
        return StreamingResponse(
            events(encoded(first, waves, kind, name)), headers=said, media_type="text/event-stream"
        )
    if len(pieces) == 1:
        return Response(encode_whole(kind, *first, name), headers=said, media_type=MEDIA_TYPES[kind])
    return StreamingResponse(encoded(first, waves, kind, name), headers=said, media_type=MEDIA_TYPES[kind])


async def encoded(first: Wave, waves: AsyncIterator[Wave], kind: str, voice: str) -> AsyncIterator[bytes]:
    """Waves, of which the first is there already, as the bytes of one recording."""
    encoder = open_encoder(kind, first[1], voice)
    yield encoder.encode(first[0])
    async for wave, _ in waves:
        yield encoder.encode(wave)
    yield encoder.finish()


async def events(parts: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The bytes of a recording as server-sent events."""
    sent = 0
    try:
        async for part in parts:
            sent += len(part)
            if part:
                yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(part).decode()})
    except MetavoxError as error:
        yield _event({"type": "error", **error_body(str(error), 400)})
        return
    # tokens are counted by models that have them
    yield _event({"type": "speech.audio.done", "usage": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}})


def _event(content: dict[str, object]) -> str:
    return f"data: {json.dumps(content)}\n\n"


async def add_voice(
    studio: Studio, name: str, consent: str, files: list[UploadFile], texts: list[str] | None
) -> dict[str, object]:
    """Makes a voice of uploaded recordings, which are deleted whatever comes of it."""
    if texts and len(texts) != len(files):
        raise ConfigError(f"{len(texts)} texts came with {len(files)} files; send one for each, or none")
    with tempfile.TemporaryDirectory(prefix="metavox-") as folder:
        uploads = [
            await run_in_threadpool(store, Path(folder), number, file, texts[number] if texts else None)
            for number, file in enumerate(files)
        ]
        voice = await studio.enrol(name, uploads, consent)
    known = describe(voice.name, voice)
    return {"id": known.name, "name": known.name, "seconds": known.seconds, "similarity": known.similarity,
            "verdict": known.verdict, "warnings": known.warnings, "skipped": voice.report.skipped}  # fmt: skip


async def translate(studio: Studio, asked: TranslationRequest) -> dict[str, object]:
    """An uploaded recording in another language: both texts, and the speech as base64; nothing is kept."""
    check_format(asked.response_format)
    with tempfile.TemporaryDirectory(prefix="metavox-") as name:
        folder = Path(name)
        upload = await run_in_threadpool(store, folder, 0, asked.file, asked.transcript)
        try:
            done = await studio.translate(
                asked.voice, upload, folder / "texts", asked.target, asked.source, asked.translation, asked.fit
            )
        except NoSuchVoiceError as error:
            raise ConfigError(str(error)) from None  # 400: the request is wrong, the address is not
        rate = studio.run.features.rate
        wave = await run_in_threadpool(read, done.wave, rate)
    audio = await run_in_threadpool(encode_whole, asked.response_format, wave, rate, asked.voice)
    return {
        "text": "\n".join(done.translations), "transcript": "\n".join(line.text for line in done.lines),
        "audio": base64.b64encode(audio).decode(), "spoken_by": done.spoken_by, "unknown_words": done.unknown,
        "seconds": done.timing.result, "source_seconds": done.timing.source, "warnings": done.warnings,
    }  # fmt: skip


def store(folder: Path, number: int, file: UploadFile, text: str | None = None) -> Upload:
    """An upload as a file in a folder of its own; what it calls itself leads nowhere else."""
    name = plain_name(file.filename or "")
    path = folder / str(number) / name
    path.parent.mkdir()
    with path.open("wb") as target:
        shutil.copyfileobj(file.file, target)
    return Upload(name, path, text)


def plain_name(name: str) -> str:
    """The last part of a file name, in letters that every file system takes, with the ending of a recording."""
    stem, dot, suffix = name.replace("\\", "/").rpartition("/")[2].rpartition(".")
    stem = "".join(c if c.isalnum() or c in " -_" else "_" for c in (stem if dot else suffix))[:60]
    ending = f".{suffix.lower()}"
    return (stem or "recording") + (ending if dot and ending in SUFFIXES | FFMPEG else ".wav")


def answer_errors(app: FastAPI) -> None:
    """Every error under /v1 as OpenAI's clients expect it."""

    @app.exception_handler(MetavoxError)
    async def refused(_: Request, error: MetavoxError) -> JSONResponse:
        if isinstance(error.__cause__, OSError) and not isinstance(error, AudioError):
            return _answer(507, str(error))
        return _answer(getattr(error, "status", 400), str(error))

    @app.exception_handler(OSError)
    async def failed(_: Request, error: OSError) -> JSONResponse:
        return _answer(507, f"this machine could not keep the recordings ({error.strerror}); free some space")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        if isinstance(error.__cause__, OSError):
            return await failed(request, error.__cause__)
        return _answer(error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return _answer(400, "; ".join(sorted({_sentence(problem) for problem in error.errors()})))


def _sentence(problem: dict[str, object]) -> str:
    """One of pydantic's findings; it names the field and never repeats what was sent."""
    place = [str(part) for part in cast(tuple[object, ...], problem["loc"]) if part not in ("body", "str", "VoiceId")]
    return f"{'.'.join(place) or 'body'}: {problem['msg']}"


def _answer(status: int, message: str) -> JSONResponse:
    return JSONResponse(error_body(message, status), status)
