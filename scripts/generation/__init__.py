"""Makes `generated/` from `protos/`: stubs, the descriptor set and the OpenAPI document."""
