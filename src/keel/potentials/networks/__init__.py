"""Graph networks and the functions they are made of."""
