"""`python -m services.monitor`."""

from services.monitor.app import build
from services.monitor.settings import MonitorSettings
from shared.runtime.serve import main

if __name__ == "__main__":
    main(build, MonitorSettings)
