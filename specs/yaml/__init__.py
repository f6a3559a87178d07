"""From the bytes of files to plain data whose every value has a place.

``load_file`` is the whole of it; ``load_files`` does the same sooner for many. The result
depends on nothing but the file's name and bytes, so that it can be kept by the blob's id.
"""

from specs.yaml.document import Document
from specs.yaml.load import LoadedFile, load_file, load_files

__all__ = ["Document", "LoadedFile", "load_file", "load_files"]
