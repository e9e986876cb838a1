"""The original service's pickled SVC, imported as a bundle."""
