"""Writing desired state for people: text in, text out.

Nothing here opens a file, a socket or a database, and nothing reads the clock. Who
calls it decides what is read and what is written.
"""
