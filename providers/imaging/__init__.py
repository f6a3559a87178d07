"""Images on the server: the chunk store, proof of restorability, HTTP handlers."""
