"""Images on the server: the chunk store, restore tests, HTTP handlers."""
