"""Copies of a store on other machines: one writer pushes generations to a URL, readers pull them.

    CURRENT                              one line: generation, sha256 of its file; written last
    generations/gen-000007-<sha256>.json the store's manifest, its files, blocks of its database
    files/<sha256>                       the files under ``segments/``; immutable
    blocks/<sha256>                      pieces of the database, compressed; named by what they hold

Every object but CURRENT is named by its content or named by CURRENT with its checksum, so a reader
checks all that it takes. A push uploads what no kept generation has; a pull downloads what the copy
before does not have.
"""
