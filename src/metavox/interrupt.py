"""Ctrl-C while a program still imports its libraries. A module of its own, so that nothing comes before it."""

import os


def leave(number: int, frame: object) -> None:
    """Ends the program by one word: nothing is under way, and an interrupt within an import, of torch say, would come
    out as a traceback of that library."""
    os.write(2, b"interrupted\n")
    os._exit(130)
