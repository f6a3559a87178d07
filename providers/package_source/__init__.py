"""Signed package repositories (The Update Framework): making them, and mirroring them.

A repository is a folder behind any web server::

    metadata/     N.root.json, timestamp.json, N.snapshot.json, N.targets.json
    targets/      NAME/VERSION/<sha256>.package.json and NAME/VERSION/files/<sha256>.FILE
    staged/       metadata that waits for signatures

``bundle`` makes packages of documents, ``repository`` signs and publishes them. ``trusted_list``
reads a repository's list so that no rolled back, frozen or mixed one is believed, and ``mirror``
brings what it names into the content store. The specification:
https://theupdateframework.github.io/specification/v1.0.33/
"""
