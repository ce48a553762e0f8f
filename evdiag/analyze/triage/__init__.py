"""Which crashes belong together, which look alike, and which are new: pure."""
