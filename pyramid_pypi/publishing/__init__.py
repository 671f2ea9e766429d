"""From the journal to documents in the published tree."""
