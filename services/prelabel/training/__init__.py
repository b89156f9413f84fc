"""trainer: makes models from the labels, tries them beside the live one, promotes what is proved and takes it back.

Reads `items.v1`, `labels.v1`, `shadow_predictions.v1`, `routes.v1` and `quality.v1`; `projects.v1`, `models.v1` and
`erasures.v1` as references.
Writes `models.v1`.
Owns a directory: what came, with the offsets it came from, in one SQLite file; training sets as Parquet by the hash of
what they hold. One process holds it, others wait for its end. Trains in child processes. It is a process and an extra
of its own inside prelabel's package, because what it fits must be fed exactly as prelabel feeds it.
"""
