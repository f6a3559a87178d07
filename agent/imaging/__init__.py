"""Images of disks: what they are, how they are taken, restored and checked.

::

    extent  chunk  gpt  table  manifest        pure: formats and arithmetic
    ext  xfs  btrfs  ntfs                      pure: may this file system's map be trusted
    lvm  lvm_text                              pure: where LVM's volumes lie
    growable  growth                            pure: what of an image can grow on a larger disk
    device  agent.commands                     the disk and the programs that read it
    scan                                       what is used on a disk
    capture  restore                           the engine

Needs ``blake3`` and ``zstandard``; both release the interpreter lock.
"""
