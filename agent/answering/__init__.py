"""The call itself: what the language model is asked, settings, trigger words, reasons."""
