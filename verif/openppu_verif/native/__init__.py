"""Verilated models under benches in C++, without Python in each clock."""
