"""The other way in: the same messages as gRPC calls, into the same queue."""
