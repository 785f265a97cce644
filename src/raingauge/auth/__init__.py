"""Who is asking: credentials and what they may do."""
