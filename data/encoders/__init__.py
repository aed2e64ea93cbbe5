"""Texts and images → vectors, images → captions."""
