"""The hashes behind order and draws in plain Python integers: slow, obvious, and without numpy."""


def mix64(x: int) -> int:
    """The splitmix64 finalizer."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


def hash64(*words: int) -> int:
    """A uint64 hash of a tuple of words."""
    state = 0
    for word in words:
        state = mix64((state * 0x9E3779B97F4A7C15 + word + 0x9E3779B97F4A7C15) % 2**64)
    return state


def mix32(x: int) -> int:
    """The murmur3 finalizer."""
    x = (x ^ (x >> 16)) * 0x85EBCA6B % 2**32
    x = (x ^ (x >> 13)) * 0xC2B2AE35 % 2**32
    return x ^ (x >> 16)


def draw(seed: int, epoch: int, sample_id: int, number: int) -> float:
    """Draw `number` of a sample in an epoch."""
    stream = hash64(4, seed, epoch, number) >> 32
    low, high = sample_id % 2**32, sample_id >> 32
    return (mix32((mix32(stream ^ low) + high) % 2**32) >> 8) / 2**24


def epoch_order(samples: int, seed: int, epoch: int, block: int, window: int) -> list[int]:
    """Blocks dealt to windows hand by hand, then the samples of each window by their hash."""
    phase = hash64(3, seed, epoch) % block
    block_of = [(place + phase) // block for place in range(samples)]
    blocks = max(block_of, default=-1) + 1
    windows = max(1, -(-samples // window))
    first = hash64(5, seed, epoch) % windows
    window_of = {}
    for start in range(0, blocks, windows):
        hand = sorted(range(start, min(start + windows, blocks)), key=lambda number: hash64(1, seed, epoch, number))
        for turn, number in enumerate(hand):
            window_of[number] = (first + turn) % windows
    return sorted(range(samples), key=lambda place: (window_of[block_of[place]], hash64(2, seed, epoch, place)))
