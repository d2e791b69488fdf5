"""Other programs' ways to use a potential."""
