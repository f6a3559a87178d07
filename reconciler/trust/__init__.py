"""Who may talk to the server: its certification authority, agents' certificates, tokens.

``authority`` issues, ``tls`` lets in and says who came, ``token`` is how a machine
without a certificate gets one. See ``docs/decisions/0008-trust.md``.
"""
