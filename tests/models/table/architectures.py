"""Text architectures of transformers, built small, for the table test and docs/models.md."""

from typing import Any

# Names that most of them understand; values are small, and no two sizes that differ in a real
# model are equal.
SIZE: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 160,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
GROUPED = SIZE | {"num_key_value_heads": 2}
GROUPED_WIDE = GROUPED | {"head_dim": 8}
SMALL: dict[str, Any] = {"vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 4}
OLDER: dict[str, Any] = {
    "vocab_size": 300,
    "n_embd": 32,
    "n_layer": 4,
    "n_head": 4,
    "n_positions": 160,
}
XLM: dict[str, Any] = {
    "vocab_size": 300,
    "emb_dim": 32,
    "n_layers": 4,
    "n_heads": 4,
    "max_position_embeddings": 160,
    "n_langs": 1,
    "pad_index": 1,
    "pad_token_id": 1,
}
LATENT: dict[str, Any] = SIZE | {
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "moe_intermediate_size": 24,
    "first_k_dense_replace": 1,
    "n_shared_experts": 1,
}
ALTERNATING = ["sliding_attention", "full_attention"] * 2
LINEAR = ["linear_attention", "full_attention"] * 2
LINEAR_HEADS: dict[str, Any] = {
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "layer_types": LINEAR,
}

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "gpt2": SIZE | {"n_inner": 40},
    "gpt_neo": SIZE | {"attention_types": [[["global", "local"], 2]], "window_size": 16},
    "gpt_neox": SIZE,
    "gptj": OLDER | {"rotary_dim": 4},
    "gpt_bigcode": OLDER | {"n_inner": 40},
    "codegen": OLDER | {"rotary_dim": 4},
    "openai-gpt": OLDER,
    "opt": SIZE | {"ffn_dim": 40, "word_embed_proj_dim": 32},
    "bloom": {"vocab_size": 300, "hidden_size": 32, "n_layer": 4, "n_head": 4, "pad_token_id": 1},
    "falcon": SIZE | {"new_decoder_architecture": True, "num_kv_heads": 2},
    "mpt": {"vocab_size": 300, "d_model": 32, "n_layers": 4, "n_heads": 4, "max_seq_len": 160},
    "xglm": {
        "vocab_size": 300,
        "d_model": 32,
        "ffn_dim": 40,
        "num_layers": 4,
        "attention_heads": 4,
        "max_position_embeddings": 160,
    },
    "biogpt": SIZE,
    "llama": GROUPED,
    "mistral": GROUPED_WIDE | {"sliding_window": 16},
    "mixtral": GROUPED | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2": GROUPED,
    "qwen3": GROUPED_WIDE,
    "qwen2_moe": GROUPED_WIDE
    | {
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
        "num_experts": 4,
        "shared_expert_intermediate_size": 24,
    },
    "qwen3_moe": GROUPED_WIDE
    | {"num_experts_per_tok": 2, "moe_intermediate_size": 24, "num_experts": 4},
    "qwen3_next": GROUPED_WIDE
    | {
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
        "num_experts": 4,
        "shared_expert_intermediate_size": 24,
        **LINEAR_HEADS,
    },
    "qwen3_5_text": GROUPED_WIDE
    | {
        **LINEAR_HEADS,
    },
    "qwen3_5_moe_text": GROUPED_WIDE
    | {
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
        "num_experts": 4,
        "shared_expert_intermediate_size": 24,
        **LINEAR_HEADS,
    },
    "gemma": GROUPED_WIDE,
    "gemma2": GROUPED_WIDE | {"sliding_window": 16},
    "gemma3_text": GROUPED_WIDE | {"sliding_window": 16},
    "gemma3n_text": GROUPED_WIDE
    | {
        "intermediate_size": [40, 40, 40, 40],
        "vocab_size_per_layer_input": 300,
        "hidden_size_per_layer_input": 8,
        "laurel_rank": 8,
        "sliding_window": 64,
        "num_kv_shared_layers": 0,
        "activation_sparsity_pattern": [0.0, 0.0, 0.0, 0.0],
        "layer_types": ALTERNATING,
        "altup_num_inputs": 4,
    },
    "gemma4_text": GROUPED_WIDE
    | {
        "sliding_window": 16,
        "global_head_dim": 8,
        "hidden_size_per_layer_input": 0,
        "num_kv_shared_layers": 0,
        "layer_types": ALTERNATING,
    },
    "phi": GROUPED,
    "phi3": GROUPED,
    "phimoe": GROUPED | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "olmo": GROUPED,
    "olmo2": GROUPED,
    "olmo3": GROUPED | {"sliding_window": 16},
    "olmoe": GROUPED | {"num_experts": 4, "num_experts_per_tok": 2},
    "cohere": GROUPED,
    "cohere2": GROUPED | {"sliding_window": 16},
    "granite": GROUPED,
    "granitemoe": GROUPED | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "stablelm": GROUPED,
    "starcoder2": GROUPED,
    "persimmon": SIZE,
    "nemotron": GROUPED,
    "glm": GROUPED_WIDE,
    "glm4": GROUPED_WIDE,
    "glm4_moe": GROUPED_WIDE
    | {
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
        "n_routed_experts": 4,
        "n_shared_experts": 1,
        "n_group": 1,
        "topk_group": 1,
        "first_k_dense_replace": 1,
    },
    "smollm3": GROUPED,
    "ernie4_5": GROUPED_WIDE,
    "exaone4": GROUPED_WIDE | {"sliding_window": 16, "sliding_window_pattern": 2},
    "arcee": GROUPED_WIDE,
    "helium": GROUPED_WIDE,
    "seed_oss": GROUPED_WIDE,
    "hunyuan_v1_dense": GROUPED_WIDE,
    "apertus": GROUPED_WIDE,
    "ministral": GROUPED_WIDE,
    "gpt_oss": GROUPED_WIDE
    | {
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "sliding_window": 16,
        "layer_types": ALTERNATING,
    },
    "deepseek_v2": LATENT | {"topk_method": "greedy"},
    "deepseek_v3": LATENT,
    "deepseek_v4": LATENT | {"head_dim": 16},
    "minimax": GROUPED_WIDE
    | {
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
        "num_local_experts": 4,
        "layer_types": ["full_attention", "linear_attention", "full_attention", "linear_attention"],
        "block_size": 16,
    },
    "jetmoe": SMALL
    | {
        "num_key_value_heads": 4,
        "kv_channels": 8,
        "intermediate_size": 24,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "max_position_embeddings": 160,
    },
    "llama4_text": GROUPED_WIDE
    | {
        "intermediate_size_mlp": 40,
        "num_local_experts": 4,
        "num_experts_per_tok": 1,
        "attention_chunk_size": 64,
        "moe_layers": [1, 3],
    },
    "mamba": SMALL | {"state_size": 8},
    "mamba2": SMALL
    | {"state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 2, "chunk_size": 16},
    "falcon_mamba": SMALL | {"state_size": 8},
    "rwkv": SMALL | {"attention_hidden_size": 32, "context_length": 160},
    "jamba": GROUPED
    | {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "mamba_d_state": 8,
        "mamba_dt_rank": 4,
        "use_mamba_kernels": False,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
    },
    "bamba": GROUPED
    | {
        "mamba_n_heads": 8,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_n_groups": 1,
        "mamba_chunk_size": 16,
        "attn_layer_indices": [1, 3],
    },
    "falcon_h1": GROUPED_WIDE
    | {
        "mamba_d_ssm": 64,
        "mamba_n_heads": 8,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_n_groups": 1,
        "mamba_chunk_size": 16,
    },
    "nemotron_h": GROUPED_WIDE
    | {
        "mamba_num_heads": 8,
        "mamba_head_dim": 8,
        "ssm_state_size": 8,
        "n_groups": 2,
        "chunk_size": 16,
        "layers_block_type": ["mamba", "attention", "mlp", "mamba"],
    },
    "zamba2": GROUPED
    | {
        "num_key_value_heads": 4,
        "mamba_d_state": 8,
        "n_mamba_heads": 8,
        "mamba_headdim": 8,
        "mamba_ngroups": 1,
        "chunk_size": 16,
        "num_mem_blocks": 1,
        "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"],
        "attention_head_dim": 16,
        "adapter_rank": 4,
    },
    "lfm2": GROUPED
    | {
        "layer_types": ["conv", "full_attention", "conv", "full_attention"],
        "conv_L_cache": 3,
        "block_auto_adjust_ff_dim": False,
    },
    "recurrent_gemma": GROUPED_WIDE
    | {"lru_width": 32, "attention_window_size": 16, "block_types": ["recurrent", "attention"]},
    "granitemoehybrid": GROUPED
    | {
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "shared_intermediate_size": 24,
        "mamba_n_heads": 8,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_n_groups": 1,
        "mamba_chunk_size": 16,
        "layer_types": ["mamba", "attention", "mamba", "attention"],
    },
    "bert": SIZE,
    "roberta": SIZE,
    "xlm-roberta": SIZE,
    "camembert": SIZE,
    "electra": SIZE | {"embedding_size": 32},
    "distilbert": {
        "vocab_size": 300,
        "dim": 32,
        "hidden_dim": 40,
        "n_layers": 4,
        "n_heads": 4,
        "max_position_embeddings": 160,
        "pad_token_id": 1,
    },
    "albert": SIZE | {"embedding_size": 16},
    "deberta": SIZE,
    "deberta-v2": SIZE
    | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16},
    "mpnet": SIZE,
    "modernbert": SIZE
    | {
        "local_attention": 16,
        "global_attn_every_n_layers": 2,
        "cls_token_id": 0,
        "sep_token_id": 2,
    },
    "megatron-bert": SIZE,
    "big_bird": SIZE | {"block_size": 8, "num_random_blocks": 1, "sep_token_id": 66},
    "longformer": SIZE | {"attention_window": 16, "sep_token_id": 2},
    "fnet": SIZE,
    "nystromformer": SIZE
    | {"num_landmarks": 64, "segment_means_seq_len": 64, "conv_kernel_size": 5},
    "convbert": SIZE | {"embedding_size": 32},
    "squeezebert": SIZE | {"embedding_size": 32},
    "mobilebert": SIZE
    | {"embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16},
    "roformer": SIZE | {"embedding_size": 32},
    "esm": SIZE | {"position_embedding_type": "rotary", "mask_token_id": 3},
    "xlm": XLM,
    "flaubert": XLM,
    "xlnet": {"vocab_size": 300, "d_model": 32, "n_layer": 4, "n_head": 4, "d_inner": 40},
    "canine": SIZE | {"downsampling_rate": 4},
    "ibert": SIZE,
    "ctrl": OLDER | {"dff": 40},
    "ernie": SIZE,
    "nomic_bert": SIZE,
    "eurobert": GROUPED,
    "luke": SIZE | {"entity_vocab_size": 10, "entity_emb_size": 8},
    "rembert": SIZE | {"input_embedding_size": 16, "output_embedding_size": 16},
    "xmod": SIZE | {"languages": ["en_XX"], "default_language": "en_XX"},
    "reformer": {
        "vocab_size": 300,
        "hidden_size": 32,
        "num_attention_heads": 2,
        "attention_head_size": 16,
        "feed_forward_size": 40,
        "attn_layers": ["local", "lsh", "local", "lsh"],
        "axial_pos_shape": [10, 16],
        "axial_pos_embds_dim": [16, 16],
        "max_position_embeddings": 160,
        "num_buckets": 4,
        "lsh_attn_chunk_length": 16,
        "local_attn_chunk_length": 16,
    },
}

# Models that see as well, read by their text.
EYES = SMALL | {"intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4}
EYES |= {"image_size": 28, "patch_size": 14}
IMAGE = {"image_token_index": 299}
FACTORS = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
ARCHITECTURES |= {
    "clip": {"text_config": SIZE, "vision_config": EYES},
    "siglip": {"text_config": SIZE | {"projection_size": 32}, "vision_config": EYES},
    "gemma3": IMAGE | {
        "text_config": ARCHITECTURES["gemma3_text"], "vision_config": EYES, "mm_tokens_per_image": 4
    },
    "llava": IMAGE | {
        "text_config": {"model_type": "llama"} | GROUPED,
        "vision_config": {"model_type": "clip_vision_model"} | EYES,
    },
    "qwen2_5_vl": {
        "text_config": GROUPED | {"rope_parameters": FACTORS},
        "vision_config": {"hidden_size": 32, "intermediate_size": 40, "depth": 2, "num_heads": 4,
                          "out_hidden_size": 32, "patch_size": 14},
        "image_token_id": 299, "video_token_id": 298, "vision_start_token_id": 297,
    },
    "llama4": IMAGE | {
        "text_config": ARCHITECTURES["llama4_text"],
        "vision_config": EYES | {"vision_output_dim": 32, "projector_input_dim": 32,
                                 "projector_output_dim": 32},
    },
    "paligemma": IMAGE | {
        "text_config": {"model_type": "gemma"} | GROUPED_WIDE, "projection_dim": 32,
        "vision_config": {"model_type": "siglip_vision_model", "projection_dim": 32} | EYES,
    },
    "mistral3": IMAGE | {
        "text_config": {"model_type": "mistral"} | GROUPED_WIDE | {"sliding_window": None},
        "vision_config": {"model_type": "pixtral", "head_dim": 8} | EYES,
    },
}  # fmt: skip

# Where the blocks are, of those of which it cannot be seen.
GIVEN: dict[str, dict[str, Any]] = {
    "xlm": {"blocks": "layer_norm2"},
    "flaubert": {"blocks": "layer_norm2"},
    "gemma3n_text": {"stream": 0},
    "deepseek_v4": {"stream": 0},
}

# Their first hidden state is not the embeddings but the first block's output.
WITHOUT_EMBEDDINGS = {"mamba", "mamba2", "falcon_mamba", "rwkv"}

# They have no series of tokens by neurons: what is said, and why.
REFUSED = {
    "canine": "activations of shape (2, 16, 32), not (2, 64, neurons)",  # a layer is of 4 tokens
    "xlnet": "activations of shape (64, 2, 32), not (2, 64, neurons)",  # the axes change places
    "squeezebert": "was not called",  # its blocks are run past their hooks
    "reformer": "reads the same text otherwise each time",  # hashes are drawn anew
}

# Standard deviation of the weights, 0.1 elsewhere: their recurrences, which transformers computes
# in float32 in any precision, amplify its rounding.
SPREAD = dict.fromkeys(["qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"], 0.06)
