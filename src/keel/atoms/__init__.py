"""What is simulated: structures, labels, neighbour lists, batches, files."""
