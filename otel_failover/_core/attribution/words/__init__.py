"""What the words of a claim say: an SDK's rendering of an answer, a report of several errors, an own error wrapped."""
