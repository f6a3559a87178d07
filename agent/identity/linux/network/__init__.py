"""Network configuration of a restored system.

``detect`` says what the system uses, ``render`` writes the machine's identity for it,
``replaced`` says which of the image's own files would contradict it. All pure but for
reading the tree.
"""
