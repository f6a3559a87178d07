"""The agent of an installed system exchanges itself for a newer release, or stays what it is.

    step upgradeAgent            launcher                       the release on trial
    ────────────────────         ────────────────────────       ─────────────────────────
    fetch, verify, unpack
    write the trial down
    end with status 75     ──▶   count this start
                                 start it, and wait       ──▶   goes on with the operation
                                                                report to the server
                                                                write down that it is used
                                 ended early, or silent
                                 too long: write that
                                 down, start the old one

``launch_state`` decides (pure), ``launcher`` is the program that the service's unit names,
``release`` says which releases are trusted, ``staging`` unpacks them and removes old ones,
``places`` where all of it lies. What a package manager or a restore installed is never written
to: releases lie beside it, and it is used where it is newer than they are.

``launcher`` and ``launch_state`` use the standard library alone, and what they write is read by
releases of later years: a field keeps its name and meaning.
"""
