"""Public data sets: where they live, and how they get here whole."""
