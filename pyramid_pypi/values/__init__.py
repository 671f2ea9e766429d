"""Names, digests, versions and instants: plain values, no I/O."""
