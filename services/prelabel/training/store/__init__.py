"""What the trainer keeps: a SQLite file of what came, Parquet files of what is trained on."""
