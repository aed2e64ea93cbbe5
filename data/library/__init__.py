"""Your library: the model files of a folder as a catalog, offline first.

    scan → header, sidecars, preview of each file → what it is, and whether it can be used → entries

``headers`` and ``gguf`` read the files' own tables of tensors, ``kinds`` says what they are, ``sidecars``
reads what other programs keep beside them, ``scan`` walks the folders, ``state`` remembers what was read,
``hashing`` computes the full SHA-256, ``hub`` asks a hub for the hashes, ``entries`` makes catalog entries
of it.
"""
