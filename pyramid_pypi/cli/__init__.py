"""The command line: one module per group of verbs, no rules of its own."""
