"""Who acts, with which token, and what they may do."""
