"""Pmi: identifying a model by example images."""
