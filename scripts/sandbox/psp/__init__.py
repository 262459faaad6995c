"""A payment provider for development: checkouts, a page to pay on, and signed webhooks."""
