"""The first minutes: the shipped parser learns new languages, with a report."""
