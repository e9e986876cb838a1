"""From landmarks to a model, and from a model to answers."""

import os

# before ONNX Runtime is imported: since 1.32 its builds for Linux, too, report their use to their makers
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
