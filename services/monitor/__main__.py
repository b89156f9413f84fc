"""`python -m services.monitor`."""

from services.monitor.app import build
from services.monitor.settings import MonitorSettings
from shared.runtime.serve import serve

if __name__ == "__main__":
    serve(build(MonitorSettings()))
