"""What a run or an assessment leaves on disk, written and read."""
