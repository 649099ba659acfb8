"""Texts, pure: credentials taken out of them, and one text found in another."""
