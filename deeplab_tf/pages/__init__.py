"""Every HTML page and picture that people look at."""
