"""`python -m services.qc`."""

from services.qc.app import build
from services.qc.settings import QcSettings
from shared.runtime.serve import serve

if __name__ == "__main__":
    serve(build(QcSettings()))
