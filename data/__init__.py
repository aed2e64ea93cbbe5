"""Crawling, filtering and describing models; the catalog and DABench; weights and the text encoder."""
