"""Fits without a language model: ranker, suitability, weights, readers of words and cards."""
