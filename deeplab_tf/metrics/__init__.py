"""What is counted: confusion matrix, bands round boundaries. NumPy alone."""
