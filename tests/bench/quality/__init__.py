"""The quality engine beside other people's libraries, on recorded crowds that are given by path."""
