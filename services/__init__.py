"""The four services. They share no tables and import nothing from each other: they speak through topics."""
