"""The errors a user can mend. The entry points print them as one sentence, without a traceback."""


class MetavoxError(Exception):
    """Something outside the code is wrong; the message names the thing and the way out."""


class AudioError(MetavoxError):
    """A recording that cannot be used: missing, corrupt, silent, empty, too many channels."""


class SilenceError(AudioError):
    """A recording, or a part of one, in which nothing can be heard."""


class ConfigError(MetavoxError):
    """A setting, or a combination of settings, that cannot work."""


class DivergenceError(ConfigError):
    """An inner loop that diverged on every task: a result for a search, an error for whoever chose the settings."""


def describe(error: BaseException) -> str:
    """An error in one sentence: its own where a user can mend it, else with its kind."""
    if isinstance(error, MetavoxError):
        return str(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
