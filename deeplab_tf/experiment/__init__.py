"""The one room where a config meets the library: settings, flags, recipes, a run's folder, and what each door calls."""
