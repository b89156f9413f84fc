"""Every SQL statement of assignment; one function each, set-based, no decisions."""
