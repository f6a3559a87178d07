"""Files of an installed system: brought, removed, and kept as they were before."""
