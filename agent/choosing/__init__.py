"""Which models answer: scope, prefilter, suitability, checkpoints and LoRAs that go together."""
