"""Requests and answers by dialect: what is asked, what comes back, and what is nobody's."""
