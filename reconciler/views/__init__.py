"""How data is shown: text for terminals, JSON for programs. No decision is made here."""
