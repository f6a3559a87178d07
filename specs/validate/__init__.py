"""From plain data to resources: each document is held against the model of its kind."""
