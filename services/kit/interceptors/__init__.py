"""What happens around every call, one concern a module.

errors → telemetry → deadline → authentication → authorization → validation

They are composed once for each method when the server starts (`chain.py`), not looked up for each
call: grpc.aio's own interceptors cost about 18 µs each, and a bet has none to spare.
"""
