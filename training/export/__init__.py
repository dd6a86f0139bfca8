"""The networks as ONNX graphs, and proof that they are the same."""
