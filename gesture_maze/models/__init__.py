"""From landmarks to a model, and from a model to answers."""

import os

# before ONNX Runtime is imported: since 1.32 its Linux builds, too, send telemetry to the vendor
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
