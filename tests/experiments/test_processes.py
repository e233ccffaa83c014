"""Several processes that share each meta-batch: the numbers of one process, on any number of them."""

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from helpers import ROOT
from metavox.errors import ConfigError
from metavox.tasks.sizes import share

SINES = (
    "dataset=sinusoid", "model=sinusoid", "model.hidden=[8]", "dataset.steps_per_epoch=6", "dataset.meta_batch=4",
    "dataset.validation_tasks=4", "dataset.test_tasks=4", "evaluation.steps=[0,1]", "evaluation.lrs=[]",
    "trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "trainer.max_epochs=2", "callbacks=default",
    "~callbacks.pictures",
)  # fmt: skip

TWO = """
import sys
import pytorch_lightning as pl
import torch
from metavox.algorithms.gradient import InnerLoop
from metavox.algorithms.maml import MAML
from metavox.learner.module import MetaLearner
from metavox.learner.ddp import reduce_loss
from metavox.models.mlp import MLP
from metavox.tasks.sinusoid import SinusoidTasks
from metavox.tasks.sinusoid_data import SinusoidData
from metavox.runtime import end_ddp

def trained(folder, processes, epochs, last=None):
    torch.manual_seed(0)
    model = MLP(1, 1, hidden=[8], context=0, residual=False)
    learner = MetaLearner(MAML(model, InnerLoop(lr=0.01, steps=2)), torch.optim.Adam, [0])
    data = SinusoidData(SinusoidTasks(seed=1), meta_batch=4, steps_per_epoch=5, validation_tasks=2)
    trainer = pl.Trainer(
        accelerator="cpu", strategy="ddp" if processes > 1 else "auto", devices=processes, max_epochs=epochs,
        logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
        use_distributed_sampler=False, inference_mode=False, default_root_dir=folder, num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
    )
    trainer.fit(learner, data, ckpt_path=last, weights_only=True)
    return trainer, learner

if __name__ == "__main__":
    folder = sys.argv[1]
    trainer, learner = trained(folder, 2, 2)
    trainer.save_checkpoint(f"{folder}/two.ckpt")
    # tasks 1 and 2 fall to the first process, which loses task 2; 3 and 4 to the second
    weight = torch.ones((), requires_grad=True)
    mine, lost = ([1.0], 0.5) if trainer.global_rank == 0 else ([3.0, 8.0], 0.0)
    loss, total, metrics = reduce_loss((weight * torch.tensor(mine)).mean(), {"diverged": torch.tensor(lost)})
    (slope,) = torch.autograd.grad(loss, weight)
    torch.distributed.all_reduce(slope)
    if trainer.global_rank == 0:
        torch.save([slope / 2, total, metrics["diverged"]], f"{folder}/joined.pt")
    end_ddp()
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training by two processes, with the script that ran it."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "script.py").write_text(TWO)
    done = subprocess.run([sys.executable, folder / "script.py", folder], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.filterwarnings("ignore")
def test_two_processes_take_the_steps_of_one_and_one_goes_on_from_two(two: Path, tmp_path: Path) -> None:
    space: dict[str, object] = {"__name__": "script"}
    exec(compile(TWO, "script.py", "exec"), space)
    trained = space["trained"]
    one = trained(tmp_path, 1, 2)[1].state_dict()  # type: ignore[operator]
    both = torch.load(two / "two.ckpt", weights_only=True)["state_dict"]
    start = trained(tmp_path, 1, 0)[1].state_dict()  # type: ignore[operator]
    for name, value in one.items():
        torch.testing.assert_close(both[name], value, rtol=1e-5, atol=1e-6)
    assert any(not torch.allclose(start[n], one[n], atol=1e-4) for n in one if "weight" in n)
    on = trained(tmp_path, 1, 4, str(two / "two.ckpt"))[1].state_dict()  # type: ignore[operator]
    for name, value in trained(tmp_path, 1, 4)[1].state_dict().items():  # type: ignore[operator]
        torch.testing.assert_close(on[name], value, rtol=1e-5, atol=1e-6)


def test_the_mean_is_over_the_tasks_that_converged_wherever_they_are(two: Path) -> None:
    slope, total, diverged = torch.load(two / "joined.pt", weights_only=True)
    assert float(slope) == pytest.approx(4.0) and float(total) == pytest.approx(4.0)  # of 1, 3 and 8
    assert float(diverged) == pytest.approx(0.25)


@pytest.mark.slow
def test_a_run_by_two_processes_is_tested_and_written_once(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "train.py", *SINES, "trainer=ddp", "hydra.run.dir='run with,comma'"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run folder:") == 1 and done.stdout.count("--- maml") == 1
    rows = list(csv.DictReader((tmp_path / "run with,comma/results.csv").read_text().splitlines()))
    cells = Counter((r["algorithm"], r["target"], r["steps"], r["metric"]) for r in rows)
    assert {"joint", "maml"} <= {r["algorithm"] for r in rows} and set(cells.values()) == {1}
    again = [sys.executable, ROOT / "train.py", "resume=run with,comma", "trainer.devices=1"]
    done = subprocess.run(again, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "run folder:" in done.stdout, done.stderr


def test_a_meta_batch_that_cannot_be_shared_is_refused() -> None:
    class Trainer:
        world_size, global_rank = 3, 1

    assert list(range(9))[share(9, Trainer())] == [1, 4, 7] and list(range(4))[share(4, None)] == [0, 1, 2, 3]
    with pytest.raises(ConfigError, match="meta_batch=8 cannot be shared by 3"):
        share(8, Trainer())
