"""`python -m services.prelabel`: run the service until SIGTERM."""

from services.prelabel.app import build
from services.prelabel.settings import PrelabelSettings
from shared.runtime.serve import serve

if __name__ == "__main__":
    serve(build(PrelabelSettings()))
