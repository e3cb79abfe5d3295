"""MoCo v2: encoders, queue of keys, BatchNorm without leakage, key exchange between ranks, health figures."""
