"""What an installed system installs by itself, also while its server is away.

``due`` decides (pure), ``kept`` has what must outlive the process, ``channel`` talks to the
server, ``updater`` drives them beside the session.
"""
