"""`python -m services.prelabel`: run the service until SIGTERM."""

from services.prelabel.app import build
from services.prelabel.settings import PrelabelSettings
from shared.runtime.serve import main

if __name__ == "__main__":
    main(build, PrelabelSettings)
