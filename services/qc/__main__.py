"""`python -m services.qc`."""

from services.qc.app import build
from services.qc.settings import QcSettings
from shared.runtime.serve import main

if __name__ == "__main__":
    main(build, QcSettings)
