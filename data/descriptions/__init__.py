"""What each model is for, as a language model or a plain reader tells it."""
