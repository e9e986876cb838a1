"""Training: augmentation, cross-validation, search, and the bundle that comes out."""
