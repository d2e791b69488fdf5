"""Properties of the crystal at rest."""
