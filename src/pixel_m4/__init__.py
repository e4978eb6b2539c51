"""Language models that read text as pixels."""
