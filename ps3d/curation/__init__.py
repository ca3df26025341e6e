"""Making and choosing training data: label recovery, statistics, selection."""
