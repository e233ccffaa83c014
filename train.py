"""Meta-trains an algorithm on tasks between voices and tests it on unseen voices beside the baselines.

python train.py
python train.py dataset=librispeech dataset.root=DIR algorithm=reptile
"""

import signal
import sys

from metavox.interrupt import leave

if __name__ == "__main__":
    signal.signal(signal.SIGINT, leave)  # while what follows is imported; `launch` goes on from there

import hydra
from omegaconf import DictConfig

from metavox.cli.arguments import quote
from metavox.cli.entry import launch, register_resolvers, run_guarded

register_resolvers()


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(config: DictConfig) -> float | None:
    from metavox.experiments.train import train  # after --help: torch and Lightning take seconds to import

    return run_guarded(train, config)


if __name__ == "__main__":
    sys.argv[1:] = quote(sys.argv[1:], ("dataset.root", "cache", "resume", "test", "hydra.run.dir", "hydra.sweep.dir"))
    launch(main, "train")
