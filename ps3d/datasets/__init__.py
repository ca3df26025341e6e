"""Data sets on disk, read into frames and written back."""
