"""SFTA: fitting what the agent decides with, and the paper's evaluations of it."""
