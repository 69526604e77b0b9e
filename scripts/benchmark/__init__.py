"""What `scripts/bench` is made of: brokers, scenarios, report."""
