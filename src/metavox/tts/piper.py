"""Neural text-to-speech by Piper (piper-tts, GPL: the extra `piper`): a voice file or a published voice's name."""

import hashlib
import json
import os
import threading
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metavox.audio.optional import optional
from metavox.errors import ConfigError, MetavoxError

if TYPE_CHECKING:
    from piper import PiperVoice

HOST = "huggingface.co"
FOLDER = Path("~/.cache/metavox/piper")
"""Where published voices are kept."""
_lock = threading.Lock()  # of loading; speaking itself may happen in several threads


class Piper:
    """One voice. `voice` is a file NAME.onnx with its NAME.onnx.json beside it, or a published name such as
    en_US-lessac-medium, which Piper's own downloader fetches from huggingface.co into `folder` at the first use.

    `speaker` is a number, or a name, in a voice of several. `speed` 1 is the voice's own. `noise` from 0 to 1 is how
    much of the voice's own randomness is used: at 0, the default, a sentence is the same every time, to the sample.
    Raises ConfigError for settings that cannot work, MetavoxError where files are missing, broken or cannot be fetched.
    """

    def __init__(
        self, voice: str, speaker: int | str | None = None, speed: float = 1.0, noise: float = 0.0,
        folder: str | Path = FOLDER,
    ) -> None:  # fmt: skip
        if not 0.25 <= speed <= 4 or not 0 <= noise <= 1:
            raise ConfigError(f"piper: speed {speed} must be 0.25 to 4 and noise {noise} 0 to 1")
        optional("piper", 'pip install -e ".[piper]"', "tts=piper")
        self.voice, self.speed, self.noise, self.folder = str(voice), speed, noise, Path(folder).expanduser()
        self.model = self._model()
        self.config = _read_config(self.model)
        self.speaker = self._speaker(speaker)

    @staticmethod
    def is_local(voice: str, folder: Path = FOLDER) -> bool:
        """Whether Piper is installed and the voice, a file or a published name, is on this machine."""
        file = Path(voice) if voice.endswith(".onnx") else folder / f"{voice}.onnx"
        there = all(Path(f"{file}{suffix}").expanduser().is_file() for suffix in ("", ".json"))
        return there and find_spec("piper") is not None

    @property
    def name(self) -> str:
        """The name of the voice file, with the speaker's number where there are several."""
        return self.model.stem + (f"+{self.speaker}" if self.speaker is not None else "")

    def settings(self) -> dict[str, object]:
        """Plain values that identify the sound, the content of the voice's files among them."""
        values = {"speaker": self.speaker, "speed": self.speed, "noise": self.noise}
        return {"engine": "piper", "voice": self.model.stem, "sha256": self._digest, **values}

    def at_speed(self, factor: float) -> "Piper":
        """The same voice, `factor` times as fast."""
        return Piper(self.voice, self.speaker, self.speed * factor, self.noise, self.folder)

    def speak(self, text: str, language: str | None = None) -> tuple[np.ndarray, int]:
        """text -> (wave [S] float32, rate in Hz of the voice). `language` must be the voice's own, in any variety.

        Raises MetavoxError for a text without a letter or digit, ConfigError for another language.
        """
        from piper import SynthesisConfig

        if not any(character.isalnum() for character in text):
            raise MetavoxError(f"nothing to speak in the text {text!r}: it holds no letter and no digit")
        if language and _family(language) != _family(self.language):
            raise ConfigError(
                f"the Piper voice {self.name} speaks {self.language}, not {language}; take a voice of that language, "
                "or tts=espeak, which speaks a hundred"
            )
        engine, scale = self._engine(), self.config["inference"]
        how = SynthesisConfig(
            speaker_id=self.speaker, length_scale=scale["length_scale"] / self.speed,
            noise_scale=scale["noise_scale"] * self.noise, noise_w_scale=scale["noise_w"] * self.noise,
            normalize_audio=False,
        )  # fmt: skip
        said = [chunk.audio_float_array for chunk in engine.synthesize(" ".join(text.split()), how)]
        wave = np.concatenate([np.zeros(0), *said]).astype(np.float32)
        if not wave.any():
            raise MetavoxError(f"the Piper voice {self.name} is silent for the text {text!r}; choose another voice")
        return wave, int(engine.config.sample_rate)

    @property
    def language(self) -> str:
        """The espeak-ng code of the language that the voice speaks."""
        return str(self.config.get("espeak", {}).get("voice") or self.config.get("language", {}).get("code") or "en")

    def _engine(self) -> "PiperVoice":
        with _lock:
            return _load(self.model, self._digest)

    def _model(self) -> Path:
        """The voice file: the one named, one that was fetched before, or one fetched now."""
        file = Path(self.voice).expanduser()
        if file.suffix == ".onnx":
            if not file.is_file():
                raise MetavoxError(f"the Piper voice {file} does not exist; give a file NAME.onnx or a published name")
            return file
        published = self.folder / f"{self.voice}.onnx"
        if not (published.is_file() and published.with_name(f"{published.name}.json").is_file()):
            with _lock:
                _download(self.voice, self.folder)
        return published

    def _speaker(self, wanted: int | str | None) -> int | None:
        count, names = int(self.config.get("num_speakers") or 1), self.config.get("speaker_id_map") or {}
        if wanted is None:
            return None if count == 1 else 0
        number = names.get(wanted, wanted)
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < count:
            raise ConfigError(f"the Piper voice {self.model.stem} has no speaker {wanted!r}; it has {count}, from 0")
        return number if count > 1 else None

    @cached_property
    def _digest(self) -> str:
        """16 hex digits of the model and its config."""
        both = b"".join(_sha256(file) for file in (self.model, self.model.with_name(f"{self.model.name}.json")))
        return hashlib.sha256(both).hexdigest()[:16]


@lru_cache(maxsize=8)
def _load(model: Path, digest: str) -> "PiperVoice":
    """One engine a voice file and process, shared by all that use it; `digest` tells a file that has changed."""
    from onnxruntime import InferenceSession, SessionOptions
    from piper import PiperConfig, PiperVoice

    options = SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))  # 0: all cores; a worker has its one
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others may need the cores meanwhile
    try:
        config = json.loads(model.with_name(f"{model.name}.json").read_text(encoding="utf-8"))
        session = InferenceSession(str(model), sess_options=options, providers=["CPUExecutionProvider"])
        return PiperVoice(session=session, config=PiperConfig.from_dict(config))
    except Exception as error:  # onnxruntime and Piper raise whatever the broken bytes lead them to
        raise MetavoxError(
            f"the Piper voice {model} is damaged or not a voice ({type(error).__name__}); copy or fetch it again"
        ) from error


def _sha256(file: Path) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _read_config(model: Path) -> dict[str, Any]:
    """NAME.onnx.json beside the model. Raises MetavoxError where it is missing or is not a voice's."""
    file = model.with_name(f"{model.name}.json")
    if not file.is_file():
        raise MetavoxError(
            f"the Piper voice {model} comes without {file.name}, which says its rate and phonemes; put it beside it"
        )
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        rate, scales = config["audio"]["sample_rate"], config["inference"]
        complete = all(float(scales[key]) >= 0 for key in ("length_scale", "noise_scale", "noise_w"))
        assert complete and 1000 <= int(rate) <= 192000 and config["phoneme_id_map"]
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise MetavoxError(f"{file} is not the config of a Piper voice; copy or fetch it again") from error
    return dict(config)


def _download(name: str, folder: Path) -> None:
    """Fetches a published voice by Piper's own downloader. Raises MetavoxError naming the host when that fails."""
    from piper.download_voices import VOICE_PATTERN, download_voice

    if not VOICE_PATTERN.match(name):
        raise ConfigError(
            f"piper: {name!r} is neither a file NAME.onnx nor a published name like en_US-lessac-medium; "
            "python -m piper.download_voices lists them"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        download_voice(name, folder)
    except (OSError, ValueError) as error:
        for file in folder.glob(f"{name}.onnx*"):  # a half that came is no voice
            file.unlink(missing_ok=True)
        raise MetavoxError(
            f"the Piper voice {name} is fetched from {HOST} to {folder}, which failed ({error}); connect to the "
            "internet, check the name, or give a voice file: tts.voice=FILE.onnx"
        ) from error


def _family(language: str) -> str:
    """en-us, en_GB, en -> en."""
    return language.replace("_", "-").partition("-")[0].lower()
