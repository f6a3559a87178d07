"""The reconcile loop: what happens to operations between approval and their end."""
