"""Cards of models that can be called, with their specifications, in one SQLite file."""
