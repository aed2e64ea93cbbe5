"""Measures on held-out data, the tables of the papers, and speed."""
