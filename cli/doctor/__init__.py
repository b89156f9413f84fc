"""`labelstream doctor`: everything a deployment stands on, looked at once, with what to do about what is wrong."""
