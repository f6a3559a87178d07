"""Machine tables: rows in YAML or CSV that stand for Machine documents."""
