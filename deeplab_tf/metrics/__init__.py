"""What is counted: confusion matrix, bands round boundaries. NumPy (and OpenCV's distance transform) alone."""
