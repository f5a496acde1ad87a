"""What answers a client, request by request."""
