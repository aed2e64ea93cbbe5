"""Supervised fine-tuning, SFTA's first stage: recipe, examples, trainer, export."""
