"""A folder of voices: names are names, and what is deleted is gone."""

from pathlib import Path

import pytest

from metavox import Run
from metavox.errors import ConfigError
from metavox.serve.errors import NameTakenError, NoSuchVoiceError
from metavox.serve.library import Library, check_name
from metavox.serve.studio import Studio
from serving import open_studio


@pytest.fixture
def library(run: Run, studio: Studio, tmp_path: Path) -> Library:
    """With the voice Zoë, in a folder of its own."""
    library = open_studio(run, tmp_path / "voices").library
    library.add(library.reserve("Zoë"), studio.library.load("Zoë"))
    library.release("Zoë")
    return library


def test_the_list_says_what_is_known(library: Library) -> None:
    (entry,) = library.entries()
    assert entry.name == "Zoë" and entry.consent == "I agree" and entry.problem is None
    assert entry.seconds == pytest.approx(sum(r["seconds"] for r in library.load("Zoë").stored.provenance["target"]))
    assert entry.date.startswith("20")


@pytest.mark.parametrize("name", ["Zoë", "O'Brien (2)", "声", "zo\u0065\u0308", "Дарья-1_b", "a.b"])
def test_names_of_people(name: str) -> None:
    assert check_name(f" {name} ")


@pytest.mark.parametrize("name", ["", " ", ".", "..", "../x", "a/b", "a\\b", "/x", "C:x", "a\0b", "a\nb", "~", "-",
                                  ".hidden", "x" * 61, "a*b", "a?b", "\u202ex"])  # fmt: skip
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ConfigError):
        check_name(name)


@pytest.mark.parametrize("name", ["../voices/Zoë", "./Zoë", "Zoë.voice", "/etc/passwd", "nobody", "", "\0", "*"])
def test_no_other_name_leads_to_a_file(library: Library, name: str) -> None:
    for use in (library.load, library.delete, library.path):
        with pytest.raises(NoSuchVoiceError, match="there are: Zoë"):
            use(name)
    assert library.names() == ["Zoë"]


def test_one_name_in_two_spellings_is_one_name(library: Library) -> None:
    assert library.load("zoe\u0308") is library.load("ZOË")
    with pytest.raises(NameTakenError):
        library.reserve("zoë")


def test_rename_and_delete(library: Library) -> None:
    voice = library.load("Zoë")
    assert library.rename("Zoë", " Anna ") == "Anna" and library.names() == ["Anna"]
    assert library.load("Anna") is voice
    library.rename("Anna", "ANNA")
    assert library.names() == ["ANNA"]
    with pytest.raises(ConfigError):
        library.rename("ANNA", "../x")
    library.add(library.reserve("Ben"), voice)
    library.release("Ben")
    with pytest.raises(NameTakenError):
        library.rename("Ben", "anna")
    library.delete("ANNA")
    library.delete("Ben")
    assert not list(library.folder.iterdir()) and not library._loaded


def test_a_damaged_or_strange_file_is_listed_or_left_alone(library: Library) -> None:
    (library.folder / "broken.voice").write_bytes(b"PK")
    (library.folder / ".hidden.voice").write_bytes(b"")
    (library.folder / "notes.txt").write_text("mine")
    entries = {entry.name: entry for entry in library.entries()}
    assert entries.keys() == {"Zoë", "broken"} and "broken" in str(entries["broken"].problem)
    library.delete("broken")
    assert (library.folder / "notes.txt").exists()


def test_a_replaced_file_is_read_again(library: Library) -> None:
    voice, path = library.load("Zoë"), library.path("Zoë")
    path.write_bytes(path.read_bytes() + b"\0")
    assert library.entries()[0].problem is not None or library.load("Zoë") is not voice
