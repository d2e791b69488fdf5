"""How sure is a difference: samples, lifetimes, intervals, and what two strategies or potentials did."""
