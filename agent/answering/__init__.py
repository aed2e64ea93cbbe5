"""The call itself: the language model's questions, settings, trigger words, reasons."""
