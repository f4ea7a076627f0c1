"""A transformer as work: its parameters, operations, and matrix products."""

from dataclasses import dataclass

from openppu_sim.errors import UserError, require


@dataclass(frozen=True)
class Transformer:
    """A decoder.

    Attributes
    ----------
    layers, hidden, heads : int
        As usual; ``heads`` divides ``hidden``.
    kv_heads : int
        Heads of keys and values; ``heads`` shares them.
    inner : int
        Width of the feed-forward part.
    gated : bool
        It has a third matrix, for the gate.
    vocabulary, sequence : int
        Tokens that there are, and tokens of a sequence.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    inner: int
    gated: bool
    vocabulary: int
    sequence: int

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "heads", "kv_heads", "inner", "vocabulary", "sequence"):
            require(f"model: {name.replace('_', '-')} =", getattr(self, name), 1, 10_000_000)
        if self.hidden % self.heads:
            raise UserError(f"model: hidden = {self.hidden} is no multiple of heads = {self.heads}")
        if self.heads % self.kv_heads:
            raise UserError(f"model: heads = {self.heads} is no multiple of kv-heads = {self.kv_heads}")

    @property
    def layer_parameters(self) -> int:
        """Of a layer's matrices."""
        attention = self.hidden * (2 * self.hidden + 2 * self.hidden * self.kv_heads // self.heads)
        return attention + (3 if self.gated else 2) * self.hidden * self.inner

    @property
    def embedding_parameters(self) -> int:
        """Of the embedding; the output has as many."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """Of everything."""
        return self.layers * self.layer_parameters + 2 * self.embedding_parameters

    @property
    def layer_operations(self) -> float:
        """Of a token's way forward through a layer; the half of the scores that a causal mask leaves."""
        return 2.0 * self.layer_parameters + 2.0 * self.sequence * self.hidden

    @property
    def output_operations(self) -> float:
        """Of a token's logits."""
        return 2.0 * self.embedding_parameters

    def training_operations(self) -> float:
        """Of a token, forward and backward: three times forward."""
        return 3 * (self.layers * self.layer_operations + self.output_operations)

    def products(self, tokens: int, tensor: int) -> list[tuple[int, int, int, int]]:
        """Matrix products of a layer, forward, on one of ``tensor`` cards: how many, m, k, n."""
        head = self.hidden // self.heads
        qkv = (self.hidden + 2 * head * self.kv_heads) // tensor
        sequences = max(1, tokens // self.sequence)
        heads = max(1, self.heads // tensor) * sequences
        length = min(tokens, self.sequence)
        return [
            (1, tokens, self.hidden, max(1, qkv)),
            (heads, length, head, length),
            (heads, length, length, head),
            (1, tokens, max(1, self.hidden // tensor), self.hidden),
            (2 if self.gated else 1, tokens, self.hidden, max(1, self.inner // tensor)),
            (1, tokens, max(1, self.inner // tensor), self.hidden),
        ]


MODELS = {
    "llama3-8b": Transformer(32, 4096, 32, 8, 14336, True, 128_256, 8192),
    "llama3-70b": Transformer(80, 8192, 64, 8, 28672, True, 128_256, 8192),
    "gpt3-175b": Transformer(96, 12288, 96, 96, 49152, False, 51_200, 2048),
    "llama3-405b": Transformer(126, 16384, 128, 8, 53248, True, 128_256, 8192),
}
"""Public descriptions of models that are often projected."""
