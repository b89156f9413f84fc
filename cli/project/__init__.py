"""Project files: strict reading with the line of each mistake, and what applying one changes."""
