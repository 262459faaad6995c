"""The use cases of Security, by noun. Each opens its transactions; nothing else does."""
