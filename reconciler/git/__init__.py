"""Where desired state comes from: a Git commit or a directory of files.

``location.open_source`` opens what a person named, ``commit`` and ``worktree`` read,
``watch`` tells of changes. All give a ``tree.SourceTree``: files before anything in
them is parsed. ``commit_policy`` decides which commits may be acted on, from what
``signature_check`` and ``ancestry`` find out. Whatever cannot be read is a
``SourceError``; the files of a stranger are data here, and nothing in a repository
can make a program run.
"""
