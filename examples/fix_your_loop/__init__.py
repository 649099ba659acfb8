"""Four loops from real incidents, as they were and mended."""
