"""Civitai, AI Horde and folders of model files, crawled into a RAW folder."""
