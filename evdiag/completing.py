"""What makes a bundle of cores readable anywhere: the files that they map, and sources."""
