"""Metrics as counts that add: frames, sequences and ranks pool by +."""
