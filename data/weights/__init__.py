"""Model weights by name, fetched and checked."""
