"""Reading a published tree that nobody vouches for: verify it, mend it, keep up with it."""
