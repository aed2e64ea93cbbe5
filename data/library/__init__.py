"""Your library: the model files of a folder as a catalog, offline first.

    scan → header, sidecars, preview of each file → its kind, and whether it is usable → entries

``headers`` and ``gguf`` read the files' tables of tensors, ``kinds`` identifies them, ``sidecars`` reads
other programs' files beside them, ``scan`` walks the folders, ``state`` stores the results, ``hashing``
computes the full SHA-256, ``hub`` looks the hashes up at a hub, ``entries`` makes catalog entries.
"""
