"""`python -m services.assignment`."""

from services.assignment.app import build
from services.assignment.settings import AssignmentSettings
from shared.runtime.serve import main

if __name__ == "__main__":
    main(build, AssignmentSettings)
