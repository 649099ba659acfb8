"""What answers say besides the usual: their content, unusual error bodies, errors and refusals under a 200."""
