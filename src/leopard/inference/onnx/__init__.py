"""The language model computed by ONNX Runtime, on a CPU: fewer and larger operations than torch's.

`graph` writes a decoder as a graph, `blocks` rounds its weights to 8 or 4 bits, `decoder` runs it,
`loading` takes it out of a model. Needs the extra `leopard[onnx]`; imports it only when used.
"""
