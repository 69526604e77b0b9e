//! Who is known to the broker: connected clients and kept sessions, with their subscriptions.
