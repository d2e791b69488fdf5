"""Two atoms, three, and bonds of molecules, against distance and angle."""
