"""What runs on machines: in RAM (Deploy-OS) and as a service in installed systems.

A leaf: it imports none of the other packages. It owns the wire formats and the
chunk and manifest formats that both ends speak. Everything outside
``agent.imaging`` is pure Python, so that it runs on whatever Python an
installed system has.
"""
