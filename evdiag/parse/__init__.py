"""Text, bytes and dictionaries to nouns. Nothing here opens a file or starts a process."""
