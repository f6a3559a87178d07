"""From a revision to its compiled fleet, with a cache around it.

``compile_files`` is the way: files → rows (``specs.compile.file``) → fleet. It reads and
compiles only the files whose rows are not in the cache; without a cache it does so for all
of them, with the same result. It answers for valid files only: where it says None,
``specs.compile.fleet.compile_fleet`` puts into words what is wrong.

* ``source``: the files of a revision or a folder, by Git's ids of their contents
* ``compile_files``: which files have to be compiled, and what all of them mean together
* ``workers``: processes that share the files
* ``rows``: what is kept of one file
* ``codec``: records as JSON and back, by their declared fields
* ``cache``: one SQLite file with two tables, which may be deleted at any time
* ``version``: a digest of all code that rows depend on
* ``file_check``: files as they are on the disk, checked before they are committed
"""
