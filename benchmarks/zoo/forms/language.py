"""Closed forms of language models: log10 of the order, as a formula of the configuration, written by hand.

Each sum begins with the residual stream; then, layer by layer, attention and the hidden width of the feed-forward part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from forms.terms import F, experts, grouped, head_size, heads, pinned_heads, rotated

Form = Callable[[Any], float]


def _gpt2(c: Any) -> float:
    """Learned positions: nothing is rotated."""
    d = c.n_embd // c.n_head
    return F(c.n_embd) + c.n_layer * (heads(c.n_head, d) + F(c.n_inner or 4 * c.n_embd))


def _gptj(c: Any) -> float:
    """The first ``rotary_dim`` query-key dimensions of each head are rotated."""
    d = c.n_embd // c.n_head
    return F(c.n_embd) + c.n_layer * (heads(c.n_head, d, d - c.rotary_dim) + F(c.n_inner or 4 * c.n_embd))


def _gpt_neo(c: Any) -> float:
    h = c.num_heads
    return F(c.hidden_size) + c.num_layers * (
        heads(h, c.hidden_size // h) + F(c.intermediate_size or 4 * c.hidden_size)
    )


def _gpt_bigcode(c: Any) -> float:
    """One key and value head for all query heads, and no rotation: its dimensions are one set for all heads."""
    h, d = c.n_head, c.n_embd // c.n_head
    return F(c.n_embd) + c.n_layer * (F(h) + 2 * F(d) + F(c.n_inner or 4 * c.n_embd))


def _decoder(c: Any) -> float:
    """Llama and its kin: grouped heads, rotated positions, a gated feed-forward part."""
    d, kv = head_size(c), getattr(c, "num_key_value_heads", None) or c.num_attention_heads
    attention = grouped(kv, c.num_attention_heads, d, d - rotated(c))
    return F(c.hidden_size) + c.num_hidden_layers * (attention + F(c.intermediate_size))


def _fully_rotated(c: Any) -> float:
    """As before; the rotation has settings of its own for each kind of layer, and leaves nothing out."""
    attention = grouped(c.num_key_value_heads, c.num_attention_heads, head_size(c))
    return F(c.hidden_size) + c.num_hidden_layers * (attention + F(c.intermediate_size))


def _mixture(c: Any) -> float:
    attention = grouped(c.num_key_value_heads, c.num_attention_heads, head_size(c))
    return F(c.hidden_size) + c.num_hidden_layers * (attention + experts(c.num_local_experts, c.intermediate_size))


def _qwen_mixture(c: Any) -> float:
    """Experts, and in Qwen2 a shared one beside them."""
    attention = grouped(c.num_key_value_heads, c.num_attention_heads, head_size(c))
    shared = F(getattr(c, "shared_expert_intermediate_size", 0))
    return F(c.hidden_size) + c.num_hidden_layers * (
        attention + experts(c.num_experts, getattr(c, "moe_intermediate_size", c.intermediate_size)) + shared
    )


def _deepseek(c: Any) -> float:
    """Latent attention: both latents are free, and in each head what is not rotated.

    Routing first chooses among groups of experts, so that experts permute within groups, and groups as a whole.
    """
    attention = F(c.q_lora_rank) + F(c.kv_lora_rank) + F(c.num_attention_heads)
    attention += c.num_attention_heads * (F(c.qk_nope_head_dim) + F(c.v_head_dim))
    routed = (
        F(c.n_group) + c.n_group * F(c.n_routed_experts // c.n_group) + c.n_routed_experts * F(c.moe_intermediate_size)
    )
    shared = F(c.n_shared_experts * c.moe_intermediate_size)
    dense = c.first_k_dense_replace
    sparse = c.num_hidden_layers - dense
    return (
        F(c.hidden_size) + c.num_hidden_layers * attention + dense * F(c.intermediate_size) + sparse * (routed + shared)
    )


def _falcon(c: Any) -> float:
    """One key and value head for all query heads; rotated."""
    d = c.hidden_size // c.num_attention_heads
    return F(c.hidden_size) + c.num_hidden_layers * (F(c.num_attention_heads) + F(d) + F(c.ffn_hidden_size))


def _bloom(c: Any) -> float:
    """Fixed slopes tell the heads apart."""
    return F(c.hidden_size) + c.n_layer * (pinned_heads(c.n_head, c.hidden_size // c.n_head) + F(4 * c.hidden_size))


def _mpt(c: Any) -> float:
    inner = c.expansion_ratio * c.d_model
    return F(c.d_model) + c.n_layers * (pinned_heads(c.n_heads, c.d_model // c.n_heads) + F(inner))


def _neox(c: Any) -> float:
    d = head_size(c)
    inner = getattr(c, "intermediate_size", None) or c.intermediate_multiple_size * c.hidden_size
    return F(c.hidden_size) + c.num_hidden_layers * (heads(c.num_attention_heads, d, d - rotated(c)) + F(inner))


def _opt(c: Any) -> float:
    return F(c.hidden_size) + c.num_hidden_layers * _dense(c, c.ffn_dim)


def _xglm(c: Any) -> float:
    """Sinusoidal positions that are no parameter are added to the stream, and pin it."""
    return c.num_layers * (heads(c.attention_heads, c.d_model // c.attention_heads) + F(c.ffn_dim))


def _mamba(c: Any) -> float:
    """The inner width, the state, and the rank of the step size."""
    inner = c.expand * c.hidden_size
    return F(c.hidden_size) + c.num_hidden_layers * (F(inner) + F(c.state_size) + F(c.time_step_rank))


def _dense(c: Any, inner: int) -> float:
    return heads(c.num_attention_heads, c.hidden_size // c.num_attention_heads) + F(inner)


def _encoder(c: Any) -> float:
    """BERT and its kin: the transform before the output is tied to the embedding's units."""
    return F(c.hidden_size) + c.num_hidden_layers * _dense(c, c.intermediate_size)


def _distilbert(c: Any) -> float:
    return F(c.dim) + c.n_layers * (heads(c.n_heads, c.dim // c.n_heads) + F(c.hidden_dim))


def _small_embedding(c: Any) -> float:
    """An embedding of a width of its own before the stream."""
    return F(c.embedding_size) + _encoder(c)


def _albert(c: Any) -> float:
    """One layer, used several times."""
    return F(c.embedding_size) + F(c.hidden_size) + _dense(c, c.intermediate_size)


def _deberta(c: Any) -> float:
    """The transform before the output is not tied to the embedding; positions move with each head's dimensions."""
    return F(c.hidden_size) + _encoder(c)


def _one_table(c: Any) -> float:
    """One table of biases for the heads of all layers makes them one set of heads."""
    h, d = c.num_attention_heads, c.hidden_size // c.num_attention_heads
    return F(c.hidden_size) + F(h) + c.num_hidden_layers * (2 * h * F(d) + F(c.intermediate_size))


def _persimmon(c: Any) -> float:
    """The gains of queries and keys are shared by all heads, so that these take their dimensions along together."""
    h, d = c.num_attention_heads, head_size(c)
    attention = F(h) + h * F(d) + F(d - rotated(c))
    return F(c.hidden_size) + c.num_hidden_layers * (attention + F(c.intermediate_size))


def _rotated_encoder(c: Any) -> float:
    """Positions are rotated in all query-key dimensions."""
    h, d = c.num_attention_heads, c.hidden_size // c.num_attention_heads
    return F(c.hidden_size) + c.num_hidden_layers * (heads(h, d, 0) + F(c.intermediate_size))


def _rows_of_angles(c: Any) -> float:
    """The planes of the rotation are a table among the parameters: they move, all heads and layers together."""
    return F(c.hidden_size // c.num_attention_heads // 2) + _rotated_encoder(c)


def _xlnet(c: Any) -> float:
    return F(c.d_model) + c.n_layer * (heads(c.n_head, c.d_head) + F(c.d_inner))


def _funnel(c: Any) -> float:
    layers = sum(c.block_sizes) + c.num_decoder_layers
    return F(c.d_model) + layers * (heads(c.n_head, c.d_head) + F(c.d_inner))


def _xlm(c: Any) -> float:
    return F(c.emb_dim) + c.n_layers * (heads(c.n_heads, c.emb_dim // c.n_heads) + F(4 * c.emb_dim))


def _ctrl(c: Any) -> float:
    """Sinusoidal positions that are no parameter pin the stream."""
    return c.n_layer * (heads(c.n_head, c.n_embd // c.n_head) + F(c.dff))


def _prophetnet(c: Any) -> float:
    """As BART; a table of biases of each layer of the decoder moves along with its heads."""
    he, hd = c.num_encoder_attention_heads, c.num_decoder_attention_heads
    encoder = c.num_encoder_layers * (heads(he, c.hidden_size // he) + F(c.encoder_ffn_dim))
    decoder = c.num_decoder_layers * (2 * heads(hd, c.hidden_size // hd) + F(c.decoder_ffn_dim))
    return F(c.hidden_size) + encoder + decoder


def _squeezebert(c: Any) -> float:
    """Convolutions in groups: 4 groups of the stream before the feed-forward part, in pairs before attention.

    Heads belong to one of the pairs, hidden units to one of the groups. All groups are nested.
    """
    pairs, groups = c.q_groups, c.intermediate_groups
    stream = F(pairs) + pairs * F(groups // pairs) + groups * F(c.hidden_size // groups)
    h, d = c.num_attention_heads, c.hidden_size // c.num_attention_heads
    layer = pairs * F(h // pairs) + 2 * h * F(d) + groups * F(c.intermediate_size // groups)
    return stream + c.num_hidden_layers * layer


def _t5(c: Any) -> float:
    """The table of the first layer of a stack belongs to the heads of all its self-attention layers."""
    layers = c.num_layers + c.num_decoder_layers
    attentions = layers + c.num_decoder_layers
    tables = 2 * F(c.num_heads) + c.num_decoder_layers * F(c.num_heads)
    return F(c.d_model) + tables + attentions * 2 * c.num_heads * F(c.d_kv) + layers * F(c.d_ff)


def _bart(c: Any, streams: int = 1) -> float:
    """Encoder and decoder share the embedding, hence the stream."""
    he, hd = c.encoder_attention_heads, c.decoder_attention_heads
    encoder = c.encoder_layers * (heads(he, c.d_model // he) + F(c.encoder_ffn_dim))
    decoder = c.decoder_layers * (2 * heads(hd, c.d_model // hd) + F(c.decoder_ffn_dim))
    return streams * F(c.d_model) + encoder + decoder


def _two_ways(h: int, d: int) -> float:
    """Heads with queries and keys for neighbours and others for all tokens; both kinds of values go to one output."""
    return F(h) + 3 * h * F(d)


def _longformer(c: Any) -> float:
    h = c.num_attention_heads
    return F(c.hidden_size) + c.num_hidden_layers * (_two_ways(h, c.hidden_size // h) + F(c.intermediate_size))


def _led(c: Any) -> float:
    """The encoder of Longformer, the decoder of BART."""
    he, hd = c.encoder_attention_heads, c.decoder_attention_heads
    encoder = c.encoder_layers * (_two_ways(he, c.d_model // he) + F(c.encoder_ffn_dim))
    return F(c.d_model) + encoder + c.decoder_layers * (2 * heads(hd, c.d_model // hd) + F(c.decoder_ffn_dim))


def _xmod(c: Any) -> float:
    """An adapter for each language behind every layer; the example speaks one of them."""
    return _encoder(c) + c.num_hidden_layers * F(c.hidden_size // c.adapter_reduction_factor)


LANGUAGE: dict[str, Form] = {
    **dict.fromkeys(("gpt2",), _gpt2),
    **dict.fromkeys(("gptj", "codegen"), _gptj),
    "gpt_neo": _gpt_neo,
    "gpt_bigcode": _gpt_bigcode,
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "phi", "phi3", "stablelm"), _decoder),
    "persimmon": _persimmon,
    **dict.fromkeys(("glm", "starcoder2", "olmo", "olmo2", "cohere", "cohere2", "granite"), _decoder),
    **dict.fromkeys(("helium", "nemotron", "smollm3", "seed_oss", "arcee", "ernie4_5", "olmo3", "glm4"), _decoder),
    "gemma3_text": _fully_rotated,
    **dict.fromkeys(("mixtral", "gpt_oss"), _mixture),
    **dict.fromkeys(("qwen2_moe", "qwen3_moe", "olmoe"), _qwen_mixture),
    "deepseek_v3": _deepseek,
    "falcon": _falcon,
    "bloom": _bloom,
    "mpt": _mpt,
    **dict.fromkeys(("gpt_neox", "gpt_neox_japanese"), _neox),
    "opt": _opt,
    "biogpt": _encoder,
    "xglm": _xglm,
    "mamba": _mamba,
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert", "data2vec-text", "ernie"), _encoder),
    "distilbert": _distilbert,
    "electra": _small_embedding,
    "roformer": lambda c: F(c.embedding_size) + _rows_of_angles(c),
    "albert": _albert,
    **dict.fromkeys(("deberta", "deberta-v2"), _deberta),
    "mpnet": _one_table,
    "esm": _rows_of_angles,
    "xlnet": _xlnet,
    "funnel": _funnel,
    **dict.fromkeys(("xlm", "flaubert"), _xlm),
    "ctrl": _ctrl,
    "prophetnet": _prophetnet,
    "squeezebert": _squeezebert,
    **dict.fromkeys(("tapas", "yoso", "layoutlm", "nystromformer", "big_bird", "ibert"), _encoder),
    "longformer": _longformer,
    "led": _led,
    "xmod": _xmod,
    **dict.fromkeys(("t5", "mt5"), _t5),
    **dict.fromkeys(("bart", "mbart", "pegasus", "marian", "blenderbot", "blenderbot-small", "plbart"), _bart),
    # sinusoidal positions that are no parameter pin the stream
    "m2m_100": lambda c: _bart(c, streams=0),
    # the encoder's stream, its first convolution, and the decoder's stream
    "whisper": lambda c: _bart(c, streams=3),
}
