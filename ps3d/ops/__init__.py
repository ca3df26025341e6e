"""Mathematics without opinions: it knows arrays, not data sets, networks or benchmarks."""
