"""From a container to a bundle: everything that tells of its crashes, nothing lost on the way."""
