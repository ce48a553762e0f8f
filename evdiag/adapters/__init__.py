"""The outside, thin: files, symbols, the host. Each adapter translates its errors in one place."""
