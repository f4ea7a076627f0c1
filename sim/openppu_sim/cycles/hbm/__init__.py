"""A fast model of the HBM2e channel controller: bandwidth, latency and idle clocks of a trace, without a simulator."""
