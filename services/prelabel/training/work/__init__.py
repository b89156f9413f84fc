"""What runs in a process of its own, so that it can be ended and its memory comes back: fitting, and asking a model.

The contract of a training command, which the built-in one keeps too, is in docs/training.md: a directory with job.json
and train.parquet goes in, model.onnx and manifest.json come out.
"""
