"""The journal: every change of the index, in commit order."""
