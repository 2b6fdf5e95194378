"""From a trained network to label maps, figures and a report."""
