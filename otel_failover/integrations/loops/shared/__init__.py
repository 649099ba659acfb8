"""What adapters of loops share: wrappers that open a run or an attempt, what keeps one open, and who a model asks."""
