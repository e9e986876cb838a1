"""From fitted models to the ONNX graph of a bundle."""
