"""Text: credentials are taken out of it, and one text is found in another. Pure, and linear in what it reads."""
