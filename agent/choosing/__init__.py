"""Choosing models: scope, prefilter, suitability, combinations of checkpoints and LoRAs."""
