"""From the bytes of files to plain data whose every value has a place.

``load_file`` is the whole of it. The result depends on nothing but the file's name and
bytes, so that what is made of it can be kept by the blob's id.
"""

from specs.yaml.document import Document
from specs.yaml.load import LoadedFile, load_file, load_section
from specs.yaml.section import Section

__all__ = ["Document", "LoadedFile", "Section", "load_file", "load_section"]
