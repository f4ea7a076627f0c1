"""The inter-chip link: lanes, training, flits, retry, flow control, transactions, router, collectives."""
