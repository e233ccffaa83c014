"""A run folder: what was asked, where it ran, what came out. Files are written whole; a killed run goes on from it."""

import csv
import hashlib
import io
import json
import platform
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from metavox.audio.whole import write_whole
from metavox.errors import ConfigError, MetavoxError, describe
from metavox.evaluation.waveform import TRIAL
from metavox.offers import offers
from metavox.report.settings import PLACES, comparable, flatten
from metavox.runtime import cores
from metavox.stored import DEEPEST, StoredConfig
from metavox.tasks.members import CONTENTS, Contents, Members

COLUMNS = (
    *("dataset", "pairing", "algorithm", "seed", "source", "target", "voices"),
    *("shots", "steps", "lr", "metric", "convention", "value"),
)
FAILED = "failed.txt"
"""Why a run ended without its results, in one sentence; gone as soon as it is started again."""
SPLIT = "split.json"
"""Which recordings the tasks of a run are made of: {split: {speaker: [ids]}}."""
TRIALS = ("algorithm", "seed", "source", "target", "against", "shots", "steps", "score")
FREE = (
    *PLACES,
    *("logger", "resume", "trust", "dataset.workers", "dataset.device_store"),
    *("trainer.accelerator", "trainer.devices", "trainer.strategy", "trainer.num_nodes"),
    *("trainer.use_distributed_sampler", "trainer.enable_", "trainer.log_", "trainer.default_root_dir"),
)
"""Settings that may differ when a run goes on: they say where and how it is run and watched, not what is computed."""
MOVABLE = frozenset({"cache", "dataset.root"})
"""Places that may be given beside `resume=` and `test=`."""
END = "# end of the file\n"


class RunFolder:
    """The folder of one run. Raises ConfigError when it holds a run with other settings."""

    def __init__(self, path: Path, config: DictConfig, overrides: Sequence[str]) -> None:
        self.path, self.resumed = path, (path / "config.yaml").exists()
        self.config: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
        if self.resumed:
            self._check_same(OmegaConf.to_container(load_yaml(path / "config.yaml")))
            return
        write_yaml(path / "overrides.yaml", list(overrides))
        write_whole(path / "environment.json", json.dumps(environment(self.config["seed"]), indent=2).encode())
        write_yaml(path / "config.yaml", self.config)

    def _check_same(self, stored: object) -> None:
        if changed := changed_settings(stored, self.config):
            raise ConfigError(
                f"{self.path} holds a run with other settings ({', '.join(changed[:5])}); "
                "go on with it by `resume=` alone, or choose another folder"
            )

    def keep_split(self, members: Members, contents: Contents) -> None:
        """Writes which recordings the tasks of a new run are made of, and how to know them again."""
        for name, known in ((CONTENTS, contents), (SPLIT, members)):
            if not (self.path / SPLIT).exists():
                write_whole(self.path / name, json.dumps(known).encode())

    def rows(self) -> list[dict[str, str]]:
        """The rows of results.csv, none where there is no such file."""
        return read_rows(self.path / "results.csv")

    def trials(self) -> list[dict[str, str]]:
        """The rows of trials.csv, none where nothing was verified."""
        return read_rows(self.path / "trials.csv")

    def algorithms(self) -> set[str]:
        """The algorithms whose results are there."""
        return {row["algorithm"] for row in self.rows()}

    def add_rows(self, algorithm: str, rows: Sequence[dict[str, Any]]) -> None:
        """Adds the test results of one algorithm, all or nothing: to results.csv a row per test task x inner steps x
        metric, to trials.csv the trials of a speaker verification."""
        choices = self.config["choices"]
        common = {"dataset": choices["dataset"], "pairing": choices["pairing"], "algorithm": algorithm,
                  "seed": self.config["seed"]}  # fmt: skip
        full = [{**common, **row} for row in rows]
        trials = [_trial(row) for row in full if row["metric"] == TRIAL]
        if trials:  # first: the rows of results.csv say that the algorithm is done
            before = [row for row in self.trials() if row["algorithm"] != algorithm]
            write_rows(self.path / "trials.csv", TRIALS, [*before, *trials])
        found = [row for row in full if row["metric"] != TRIAL]
        write_rows(self.path / "results.csv", COLUMNS, [*self.rows(), *found])

    def write_summary(self, summary: dict[str, Any]) -> None:
        """summary.json; null where a number is not defined, since JSON has no nan."""
        plain = json.loads(json.dumps(summary), parse_constant=lambda _: None)
        write_whole(self.path / "summary.json", json.dumps(plain, indent=2).encode())


def _trial(row: Mapping[str, Any]) -> dict[str, Any]:
    known = {**row, "against": row["convention"] or row["target"], "score": row["value"]}
    return {name: known[name] for name in TRIALS}


def read_rows(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, none where there is no such file. Raises MetavoxError for one that is not as it was
    written: cut short, or changed."""
    if not file.exists():
        return []
    content, sums = file.read_bytes(), checksums(file)
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8")), strict=True))
    except (UnicodeDecodeError, csv.Error):
        rows = [{"": None}]
    whole = content.endswith(b"\n") and not any(None in row or None in row.values() for row in rows)
    if not whole or (sums.exists() and hashlib.sha256(content).hexdigest() not in sums.read_text().split()):
        raise MetavoxError(f"{file} is cut short or was changed; restore it, or start the run anew in another folder")
    return rows


def checksums(file: Path) -> Path:
    """Where the checksums of a table stand: of the one that is there, and of the one that replaces it."""
    return file.with_name(f".{file.name}.sha256")


def write_rows(file: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """A whole CSV file of rows that have the `columns` or fewer."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    content, sums = text.getvalue().encode(), checksums(file)
    before, after = (
        f"{hashlib.sha256(c).hexdigest()}\n" for c in (file.read_bytes() if file.exists() else b"", content)
    )
    write_whole(sums, f"{before}{after}".encode())  # a kill may come before the table is there
    write_whole(file, content)
    write_whole(sums, after.encode())


class Busy(MetavoxError):
    """Another process works in the folder."""


@contextmanager
def lock_folder(path: Path) -> Iterator[None]:
    """Keeps a second process out of the run folder `path`. Raises Busy when there is one already.

    A lock of the operating system on an open file: it ends with its process, also with one that was killed.
    """
    lock = FileLock(path / ".lock")
    try:
        lock.acquire(timeout=1)  # longer than somebody who only looks whether it is held
    except Timeout as error:
        raise Busy(f"{path} is in use by another process; wait for it, or choose another folder") from error
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether a process works in the run folder `path`. Looks for an instant only: a run that starts just then waits
    longer than that (`lock_folder`)."""
    if not (path / ".lock").exists():  # which looking would make
        return False
    try:
        with FileLock(path / ".lock", timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a folder that may only be read: nothing is running here as this user
        return False


@contextmanager
def note_failure(path: Path) -> Iterator[None]:
    """Keeps the reason why the run in `path` failed, for those who ask how a sweep stands."""
    (path / FAILED).unlink(missing_ok=True)
    try:
        yield
    except Exception as error:
        with suppress(MetavoxError):  # a full disk may be why
            write_whole(path / FAILED, f"{describe(error)}\n".encode())
        raise


def changed_settings(old: object, new: object) -> list[str]:
    """The settings in which two configs of plain values ask for different computations."""
    was, now = comparable(flatten(old)), comparable(flatten(new))
    return sorted(k for k in was.keys() | now.keys() if was.get(k) != now.get(k) and not k.startswith(FREE))


def load_yaml(path: Path) -> DictConfig:
    """A YAML file of a run folder, nothing in it resolved. Raises MetavoxError when it is missing or broken."""
    try:
        text = path.read_text(encoding="utf-8")
        _check_events(path, text)
        found = OmegaConf.create(text)
    except MetavoxError:
        raise
    except (OSError, ValueError, RecursionError, yaml.YAMLError, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split())[:300]
        raise MetavoxError(f"cannot read {path}: {reason}; is this a run folder? else restore the file") from error
    if not isinstance(found, DictConfig) or not text.endswith(f"\n{END}"):
        raise MetavoxError(f"{path} is cut short or of an older metavox; restore it, or start the run anew")
    return found


def _check_events(path: Path, text: str) -> None:
    """Raises MetavoxError for YAML that would grow, or nest, beyond all bounds when it is loaded."""
    depth = 0
    for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > DEEPEST:
            raise MetavoxError(f"{path} holds aliases or too many levels, which metavox never writes; restore it")


def write_yaml(path: Path, config: object) -> None:
    """What `load_yaml` reads, with a last line that says that it is whole."""
    write_whole(path, f"{OmegaConf.to_yaml(config)}{END}".encode())


def load_config(run: Path, folders: Sequence[Path] = (), trust: bool = False) -> DictConfig:
    """The settings of a run folder, to work by. Raises ConfigError for what may not be built from a stored config;
    `folders` are config folders of the user's own, whose classes may, too."""
    found = load_yaml(run / "config.yaml")
    plain: dict[str, Any] = OmegaConf.to_container(found)  # type: ignore[assignment]
    StoredConfig(run / "config.yaml", plain, offers((), tuple(folders)), trust).check()
    return found


def moved_to(stored: DictConfig, given: DictConfig, keys: Collection[str]) -> DictConfig:
    """The settings of a run whose corpus, or cache, lies elsewhere now: where `given` says, for those of MOVABLE among
    the `keys`. Raises ConfigError where the corpus is not there."""
    plain: dict[str, Any] = OmegaConf.to_container(stored)  # type: ignore[assignment]
    for key in MOVABLE.intersection(keys):
        before, now = OmegaConf.select(stored, key), OmegaConf.select(given, key)
        if before is not None and now is not None:
            plain = {name: _moved(child, Path(str(before)), str(now)) for name, child in plain.items()}
    dataset = plain.get("dataset", {})
    root = dataset.get("root")
    if isinstance(root, str) and not dataset.get("download") and not Path(root).exists():
        raise ConfigError(f"{root}, where the corpus of the run was, is not there; name its folder, dataset.root=DIR")
    return OmegaConf.create(plain)


def _moved(value: object, before: Path, now: str) -> object:
    if isinstance(value, dict):
        return {key: _moved(child, before, now) for key, child in value.items()}
    if isinstance(value, str) and value.startswith(str(before)) and Path(value).is_relative_to(before):
        return str(now / Path(value).relative_to(before))
    return value


def environment(seed: int) -> dict[str, Any]:
    """Versions, commit and device: what one needs to run it again."""
    import torch  # here: a sweep looks into run folders without the seconds that this takes

    packages = ("metavox", "torch", "pytorch-lightning", "hydra-core", "higher", "numpy", "pyworld-prebuilt")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    return {
        "versions": {p: version(p) for p in packages}, "python": platform.python_version(), "commit": commit(),
        "device": device, "cores": cores(), "seed": seed,
    }  # fmt: skip


def commit() -> str | None:
    """The commit of metavox's own checkout; None where it was installed without one, or there is no git to ask."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None  # installed: git would name the commit of whatever project the environment lies in
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return found.stdout.strip() or None
