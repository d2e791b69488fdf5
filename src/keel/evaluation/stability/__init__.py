"""How long molecular dynamics holds, and what goes wrong in it."""
