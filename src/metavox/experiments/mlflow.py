"""MLflow's record of an algorithm: how it ended, and the files that it left."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

from pytorch_lightning.loggers import MLFlowLogger

from metavox.audio.whole import HOST
from metavox.errors import ConfigError
from metavox.experiments.run_folder import is_locked

if TYPE_CHECKING:
    from mlflow.entities import Run

SETTINGS = ("config.yaml", "overrides.yaml", "environment.json")
RESULTS = ("results.csv", "pairs.csv", "trials.csv", "tables.txt", "summary.json")


class MLflow(MLFlowLogger):
    """Lightning's logger, which by itself calls a run finished before it is tested, leaves one that was killed RUNNING
    for good, and keeps no files.

    `folder` is the run folder that the algorithm belongs to. Raises ConfigError where the store cannot be used.
    """

    def __init__(
        self,
        experiment_name: str = "metavox",
        tracking_uri: str | None = None,
        folder: str | None = None,
        run_name: str | None = None,
        save_dir: str | None = "./mlruns",
    ) -> None:
        self.folder = Path(folder or ".").resolve()
        marks = {"metavox.folder": str(self.folder), "metavox.id": _id(self.folder), "metavox.host": HOST}
        with _reachable(tracking_uri):
            super().__init__(experiment_name, run_name, tracking_uri, marks, save_dir)

    def begin(self) -> None:
        """Ends what was killed before, and starts a run with its settings."""
        with _reachable(self._tracking_uri):
            self.end_killed()
            self.keep(self.folder / name for name in SETTINGS)

    def end_killed(self) -> None:
        """Calls those runs KILLED that are RUNNING though nobody works on them: of this folder, which is held by this
        process, and of this machine."""
        for run in self._search("attributes.status = 'RUNNING'"):
            tags = run.data.tags
            there = tags.get("metavox.host") == HOST and not is_locked(Path(tags["metavox.folder"]))
            if run.info.run_id != self._run_id and (there or tags.get("metavox.id") == _id(self.folder)):
                self.experiment.set_terminated(run.info.run_id, "KILLED")

    def finalize(self, status: str = "success") -> None:
        """Nothing: Lightning calls it after the training and after the test, and the run goes on."""

    def end(self, status: str) -> None:
        """`status` is FINISHED, FAILED or KILLED."""
        if self._run_id is not None:  # else it never began
            self.experiment.set_terminated(self._run_id, status)

    def keep(self, files: Iterable[Path], below: str | None = None, run_id: str | None = None) -> None:
        """Those of the files that are there, as artifacts in the folder `below`."""
        for file in filter(Path.is_file, files):
            self._mlflow_client.log_artifact(run_id or self.run_id, str(file), below)

    def keep_results(self) -> None:
        """The results of the whole run, with every finished algorithm of it."""
        for run in self._search(f"attributes.status = 'FINISHED' and tags.`metavox.id` = '{_id(self.folder)}'"):
            self.keep((self.folder / name for name in RESULTS), None, run.info.run_id)

    def _search(self, query: str) -> "list[Run]":
        found = self._mlflow_client.get_experiment_by_name(self._experiment_name)
        return self._mlflow_client.search_runs([found.experiment_id], query) if found else []


def _id(folder: Path) -> str:
    """The folder in a form that MLflow's query language takes."""
    return f"{crc32(bytes(folder)):08x}"


@contextmanager
def _reachable(uri: str | None) -> Iterator[None]:
    """Raises ConfigError where what is done inside fails because the store does."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"logger=mlflow cannot use {uri}: {reason}; set MLFLOW_TRACKING_URI to another store, or leave it out"
        ) from error
