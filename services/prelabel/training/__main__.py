"""`python -m services.prelabel.training`: run the trainer until SIGTERM."""

from services.prelabel.training.app import build
from services.prelabel.training.settings import TrainerSettings
from shared.runtime.serve import main

if __name__ == "__main__":
    main(build, TrainerSettings)
