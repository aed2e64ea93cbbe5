"""Pmi (CGI paper): models identified by example images, through specifications in a shared matching space."""
