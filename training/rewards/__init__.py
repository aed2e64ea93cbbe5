"""Rewards: how good a response is; by its images, or by what the community says of its model."""
