"""`python -m services.prelabel.training.work fit | answer DIRECTORY`."""

import importlib
import sys
from pathlib import Path

from services.prelabel.training.work.files import Refused, write_refusal

COMMANDS = ("fit", "answer")


def main(arguments: list[str]) -> int:
    """Exit code 0 where it worked, 2 where it says in refused.json why it cannot."""
    what, directory = COMMANDS[COMMANDS.index(arguments[0])], Path(arguments[1])
    work = importlib.import_module(f"services.prelabel.training.work.{what}")  # asking needs none of what fitting needs
    try:
        getattr(work, what)(directory)
    except Refused as error:
        write_refusal(directory, str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
