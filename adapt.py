"""Adapts to a voice from a few recordings, then converts speech or speaks a text in that voice.

python adapt.py run=RUN target=RECORDINGS source=RECORDINGS output=FOLDER
python adapt.py run=RUN target=RECORDINGS text="Hello, world" output=FOLDER
python adapt.py voice=FOLDER/NAME.voice source=RECORDINGS output=FOLDER
python adapt.py voice=FOLDER/NAME.voice source=RECORDINGS translate=es output=FOLDER
"""

import signal
import sys

from metavox.interrupt import leave

if __name__ == "__main__":
    signal.signal(signal.SIGINT, leave)  # while what follows is imported; `launch` goes on from there

import hydra
from omegaconf import DictConfig

from metavox.cli.arguments import quote
from metavox.cli.entry import launch, run_guarded


@hydra.main(version_base="1.3", config_path="conf", config_name="adapt")
def main(config: DictConfig) -> None:
    from metavox.cli.adapt import adapt  # after --help: torch takes seconds to import

    run_guarded(adapt, config)


if __name__ == "__main__":
    texts = ("text", "transcript", "translation", "name", "consent")
    sys.argv[1:] = quote(sys.argv[1:], ("run", "target", "source", "output", "voice", *texts))
    launch(main, "adapt")
