"""What holds of every potential: derivatives, symmetries, conservation, range."""
