"""What a request can be refused for, beside the errors of all of metavox; `status` is the answer's in HTTP."""

from metavox.errors import MetavoxError


class NoSuchVoiceError(MetavoxError):
    """A name that no voice has."""

    status = 404


class NameTakenError(MetavoxError):
    """A name that a voice has, or that one being made will have."""

    status = 409


class BusyError(MetavoxError):
    """More voices wait to be made than anybody would wait for."""

    status = 429
