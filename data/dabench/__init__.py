"""DABench: instruction–API pairs, their splits and their statistics."""
