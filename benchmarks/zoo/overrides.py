"""What single transformers model types need besides the general reduction: settings, heads, inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Inputs = Callable[[Any, torch.Generator], dict[str, Any]]

_WINDOWED = {
    **{"image_size": 32, "patch_size": 2, "embed_dim": 24, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4}
}
_PYRAMID = {"image_size": 64, "patch_size": 4}
_RESNET = {
    "model_type": "resnet",
    "embedding_size": 16,
    "hidden_sizes": [16, 24, 32, 40],
    "depths": [1, 1, 1, 1],
    "layer_type": "basic",
    "out_features": ["stage4"],
}
_RESNET_PYRAMID = {**_RESNET, "out_features": ["stage2", "stage3", "stage4"]}
_DETECTOR = {"backbone_config": _RESNET, "d_model": 48}
_DEFORMABLE = {
    "backbone_config": _RESNET_PYRAMID,
    "d_model": 64,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "num_feature_levels": 3,
}
_HYBRID_DETECTOR = {
    "backbone_config": {
        "model_type": "rt_detr_resnet",
        "embedding_size": 16,
        "hidden_sizes": [16, 24, 32, 40],
        "depths": [1, 1, 1, 1],
        "layer_type": "basic",
        "out_features": ["stage2", "stage3", "stage4"],
    },
    "encoder_hidden_dim": 48,
    "encoder_in_channels": [24, 32, 40],
    "decoder_in_channels": [48, 48, 48],
    "d_model": 48,
    "encoder_attention_heads": 6,
    "decoder_attention_heads": 6,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "num_queries": 9,
    "num_denoising": 0,
    "decoder_n_points": 2,
    "anchor_image_size": None,
}
_SECTIONS = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}}
_MAMBA2 = {"mamba_n_heads": 8, "mamba_d_head": 12, "mamba_n_groups": 2}
_SERIES = {
    "prediction_length": 5,
    "context_length": 9,
    "lags_sequence": [1, 2, 3],
    "num_time_features": 2,
    "d_model": 48,
    "num_parallel_samples": 3,
}
_MASKS = {
    "hidden_dim": 64,
    "feature_size": 64,
    "mask_feature_size": 64,
    "num_attention_heads": 8,
    "dim_feedforward": 80,
    "encoder_feedforward_dim": 72,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "num_queries": 9,
    "train_num_points": 20,
    "backbone_config": {
        "model_type": "swin",
        "image_size": 64,
        "patch_size": 2,
        "embed_dim": 24,
        "depths": [1, 1, 1, 1],
        "num_heads": [2, 4, 6, 8],
        "window_size": 4,
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
    },
}
_DAC = {
    "encoder_hidden_size": 8,
    "decoder_hidden_size": 32,
    "hidden_size": 32,
    "downsampling_ratios": [2, 3],
    "upsampling_ratios": [3, 2],
    "n_codebooks": 2,
    "codebook_size": 32,
    "codebook_dim": 6,
}
_ENCODEC = {"num_filters": 8, "upsampling_ratios": [3, 2], "hidden_size": 20, "codebook_size": 32, "codebook_dim": 20}
_MIMI = {
    "codebook_size": 32,
    "num_filters": 6,
    "upsampling_ratios": [3, 2],
    "upsample_groups": 4,
    "hidden_size": 48,
    "num_quantizers": 3,
    "vector_quantization_hidden_dimension": 14,
    "codebook_dim": 14,
    "num_key_value_heads": 3,
    "head_dim": 8,
}

OVERRIDES: dict[str, dict[str, Any]] = {
    "EvollaModel": {},
    "align": {"projection_dim": 24},
    "align_text_model": {"hidden_size": 24, "num_attention_heads": 4},
    "align_vision_model": {
        "in_channels": [32, 12, 16],
        "out_channels": [12, 16, 20],
        "kernel_sizes": [3, 3, 5],
        "strides": [1, 2, 2],
        "num_block_repeats": [1, 2, 1],
        "expand_ratios": [1, 4, 6],
        "hidden_dim": 48,
        "image_size": 64,
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
    },
    "audio-spectrogram-transformer": {"max_length": 48, "patch_size": 8, "frequency_stride": 6, "time_stride": 8},
    "autoformer": {**_SERIES, "moving_average": 3, "label_length": 4},
    "informer": _SERIES,
    "time_series_transformer": _SERIES,
    "bamba": {**_MAMBA2, "attn_layer_indices": [1]},
    "bark": {},
    "bit": {"num_groups": 4, "hidden_sizes": [16, 24, 32, 40], "embedding_size": 12},
    "blip_2_qformer": {"encoder_hidden_size": 40, "use_qformer_text_input": True},
    "bridgetower": {
        "hidden_size": 128,
        "num_attention_heads": 4,
        "intermediate_size": 80,
        "text_config": {"hidden_size": 128, "num_attention_heads": 4},
        "vision_config": {"hidden_size": 128},
    },
    "bros": {"hidden_size": 128, "num_attention_heads": 4},
    "canine": {"num_hash_buckets": 64, "local_transformer_stride": 16, "max_position_embeddings": 64},
    "clap_audio_model": {
        "spec_size": 32,
        "num_mel_bins": 16,
        "patch_embeds_hidden_size": 12,
        "depths": [2, 2],
        "num_attention_heads": [2, 4],
        "window_size": 4,
        "patch_size": 2,
        "patch_stride": [2, 2],
        "hidden_size": 24,
        "aff_block_r": 2,
    },
    "clvp_encoder": {"hidden_size": 192, "num_attention_heads": 6},
    "codegen": {"n_head": 4, "n_embd": 48, "rotary_dim": 4},
    "conditional_detr": _DETECTOR,
    "convnext": _PYRAMID,
    "convnextv2": _PYRAMID,
    "csm": {"codebook_size": 32},
    "d_fine": {
        **_HYBRID_DETECTOR,
        "max_num_bins": 8,
        "lqe_hidden_dim": 12,
        "backbone_config": {
            "model_type": "hgnet_v2",
            "stem_channels": [3, 8, 12],
            "stage_in_channels": [12, 16, 24, 32],
            "stage_mid_channels": [8, 8, 10, 12],
            "stage_out_channels": [16, 24, 32, 40],
            "stage_num_blocks": [1, 1, 1, 1],
            "stage_numb_of_layers": [2, 2, 2, 2],
            "out_features": ["stage2", "stage3", "stage4"],
        },
    },
    "dab-detr": {**_DETECTOR, "hidden_size": 48},
    "dac": _DAC,
    "dbrx": {
        "attn_config": {"kv_n_heads": 3, "clip_qkv": 8.0, "rope_theta": 10000.0},
        "ffn_config": {"ffn_hidden_size": 36, "moe_num_experts": 5, "moe_top_k": 2},
    },
    "deberta": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "decision_transformer": {"state_dim": 9, "act_dim": 4, "n_head": 6, "max_ep_len": 30},
    "deepseek_v3": {"first_k_dense_replace": 1},
    "deepseek_v2": {"first_k_dense_replace": 1, "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1},
    "deepseek_v4": {"o_groups": 2, "num_key_value_heads": 1},
    "deformable_detr": _DEFORMABLE,
    "detr": _DETECTOR,
    "diffllama": {"num_key_value_heads": 2, "head_dim": 8},
    "distilbert": {"hidden_dim": 80},
    "donut-swin": _WINDOWED,
    "dots1": {"n_routed_experts": 5, "n_group": 1, "num_experts_per_tok": 2, "n_shared_experts": 1},
    "dpt": {
        "num_hidden_layers": 4,
        "backbone_out_indices": [0, 1, 2, 3],
        "neck_hidden_sizes": [12, 16, 20, 24],
        "fusion_hidden_size": 28,
        "image_size": 32,
    },
    "efficientnet": {
        "in_channels": [32, 12, 16],
        "out_channels": [12, 16, 20],
        "kernel_sizes": [3, 3, 5],
        "strides": [1, 2, 2],
        "num_block_repeats": [1, 2, 1],
        "expand_ratios": [1, 4, 6],
        "hidden_dim": 1280,
        "image_size": 64,
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
    },
    "encodec": _ENCODEC,
    "esm": {"vocab_size": 33, "mask_token_id": 32, "pad_token_id": 1, "position_embedding_type": "rotary"},
    "esmc": {"num_key_value_heads": 6, "head_dim": 8},
    "exaone_moe": {"num_experts": 10},
    "fsmt": {"src_vocab_size": 101, "tgt_vocab_size": 101, "langs": ["en", "de"]},
    "funnel": {
        "block_sizes": [1, 1],
        "d_model": 48,
        "n_head": 6,
        "d_head": 8,
        "d_inner": 80,
        "vocab_size": 101,
        "num_decoder_layers": 1,
    },
    "gemma3n_text": {
        "num_hidden_layers": 4,
        "num_kv_shared_layers": 2,
        "laurel_rank": 6,
        "altup_num_inputs": 2,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
        "activation_sparsity_pattern": [0.0, 0.0, 0.0, 0.0],
    },
    "glpn": {
        "hidden_sizes": [12, 24, 36, 48],
        "num_attention_heads": [1, 2, 3, 4],
        "decoder_hidden_size": 20,
        "image_size": 64,
    },
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 4},
    "gptj": {"rotary_dim": 4},
    "granitemoehybrid": {**_MAMBA2, "layer_types": ["mamba", "attention"], "shared_intermediate_size": 28},
    "groupvit_vision_model": {"depths": [1, 1], "num_group_tokens": [6, 0], "num_output_groups": [4, 3]},
    "grounding-dino": {
        **_DEFORMABLE,
        "text_config": {
            "model_type": "bert",
            "hidden_size": 40,
            "num_attention_heads": 5,
            "num_hidden_layers": 2,
            "intermediate_size": 72,
            "vocab_size": 103,
        },
    },
    "helium": {"head_dim": 8},
    "hgnet_v2": {
        "stem_channels": [3, 8, 12],
        "stage_in_channels": [12, 16, 24, 32],
        "embedding_size": 12,
        "stage_mid_channels": [8, 8, 10, 12],
        "stage_out_channels": [16, 24, 32, 40],
        "stage_num_blocks": [1, 1, 2, 1],
        "stage_numb_of_layers": [2, 2, 2, 2],
        "hidden_sizes": [16, 24, 32, 40],
        "image_size": 64,
    },
    "hiera": {
        "embed_dim": 12,
        "depths": [1, 1, 1],
        "num_heads": [1, 2, 4],
        "image_size": [64, 64],
        "num_query_pool": 2,
    },
    "hunyuan_v1_dense": {"head_dim": 10},
    "hunyuan_v1_moe": {"head_dim": 10, "num_experts": 5, "moe_topk": 2},
    "jamba": {
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "mamba_dt_rank": 5,
        "num_hidden_layers": 2,
    },
    "jetmoe": {"kv_channels": 8, "num_key_value_heads": 3},
    "layoutlm": {"max_2d_position_embeddings": 32},
    "layoutlmv3": {"coordinate_size": 8, "shape_size": 8, "input_size": 32, "max_2d_position_embeddings": 32},
    "led": {"attention_window": 4},
    "longformer": {"attention_window": 4},
    "levit": {
        "image_size": 64,
        "patch_size": 16,
        "hidden_sizes": [16, 24, 32],
        "num_attention_heads": [2, 3, 4],
        "depths": [1, 1, 1],
        "key_dim": [6, 6, 6],
    },
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "longcat_flash": {"zero_expert_num": 2, "head_dim": 4},
    "luke": {"entity_vocab_size": 30, "entity_emb_size": 20},
    "lxmert": {"l_layers": 2, "x_layers": 1, "r_layers": 1, "visual_feat_dim": 18, "num_attention_heads": 6},
    "mamba2": {"num_heads": 8, "head_dim": 12, "n_groups": 2, "chunk_size": 4},
    "mask2former": _MASKS,
    "maskformer": {
        "fpn_feature_size": 64,
        "mask_feature_size": 64,
        "backbone_config": _MASKS["backbone_config"],
        "decoder_config": {
            "model_type": "detr",
            "d_model": 48,
            "encoder_layers": 1,
            "decoder_layers": 2,
            "encoder_attention_heads": 6,
            "decoder_attention_heads": 6,
            "encoder_ffn_dim": 72,
            "decoder_ffn_dim": 80,
            "num_queries": 9,
        },
    },
    "maskformer-swin": _WINDOWED,
    "mimi": _MIMI,
    "minimax": {"layer_types": ["linear_attention", "full_attention"], "head_dim": 8},
    "ministral": {"head_dim": 10},
    "mm-grounding-dino": {
        **_DEFORMABLE,
        "text_config": {
            "model_type": "bert",
            "hidden_size": 40,
            "num_attention_heads": 5,
            "num_hidden_layers": 2,
            "intermediate_size": 72,
            "vocab_size": 103,
        },
    },
    "mobilebert": {
        "embedding_size": 28,
        "hidden_size": 48,
        "true_hidden_size": 36,
        "intra_bottleneck_size": 36,
        "num_attention_heads": 4,
        "intermediate_size": 80,
        "num_feedforward_networks": 2,
    },
    "mobilenet_v1": {"depth_multiplier": 0.25, "image_size": 64},
    "mobilenet_v2": {"depth_multiplier": 0.25, "image_size": 64},
    "mobilevit": {
        "hidden_sizes": [12, 18, 24],
        "neck_hidden_sizes": [8, 10, 14, 20, 22, 26, 30],
        "num_attention_heads": 3,
        "patch_size": 2,
        "image_size": 64,
    },
    "mobilevitv2": {"width_multiplier": 0.25, "patch_size": 2, "image_size": 64, "n_attn_blocks": [1, 1, 1]},
    "moonshine": {
        "encoder_num_key_value_heads": 6,
        "decoder_num_key_value_heads": 6,
        "encoder_num_attention_heads": 6,
        "decoder_num_attention_heads": 6,
    },
    "mpnet": {"relative_attention_num_buckets": 32},
    "nemotron": {"num_key_value_heads": 3, "head_dim": 8},
    "nemotron_h": {
        "layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"],
        "mamba_num_heads": 8,
        "mamba_head_dim": 12,
        "n_groups": 2,
        "n_routed_experts": 10,
        "moe_shared_expert_intermediate_size": 28,
    },
    "oneformer": {**_MASKS, "class_feature_size": 64, "conv_dim": 64, "text_encoder_width": 24},
    "owlvit": {"projection_dim": 48},
    "owlv2": {"projection_dim": 48},
    "patchtsmixer": {
        "context_length": 16,
        "patch_length": 4,
        "num_input_channels": 3,
        "patch_stride": 4,
        "d_model": 12,
        "num_layers": 2,
        "prediction_length": 5,
    },
    "patchtst": {
        "context_length": 16,
        "patch_length": 4,
        "patch_stride": 4,
        "num_input_channels": 3,
        "d_model": 24,
        "num_attention_heads": 4,
        "ffn_dim": 40,
        "prediction_length": 5,
    },
    "perceiver": {
        "num_latents": 9,
        "d_latents": 24,
        "d_model": 32,
        "num_blocks": 1,
        "num_self_attends_per_block": 2,
        "num_self_attention_heads": 4,
        "num_cross_attention_heads": 4,
        "max_position_embeddings": 20,
    },
    "poolformer": {"hidden_sizes": [12, 24, 36, 48], "image_size": 64, "depths": [2, 1, 1, 1]},
    "pvt": {
        "hidden_sizes": [12, 24, 36, 48],
        "num_attention_heads": [1, 2, 3, 4],
        "image_size": 64,
        "patch_sizes": [4, 2, 2, 2],
    },
    "pvt_v2": {"hidden_sizes": [12, 24, 36, 48], "num_attention_heads": [1, 2, 3, 4], "image_size": 64},
    "qwen3_next": {"layer_types": ["linear_attention", "full_attention"], "head_dim": 16},
    "qwen3_5_text": {"layer_types": ["linear_attention", "full_attention"], "head_dim": 16},
    "qwen3_5_moe_text": {"layer_types": ["linear_attention", "full_attention"], "head_dim": 16},
    "recurrent_gemma": {"num_hidden_layers": 3, "lru_width": 48, "attention_window_size": 8, "head_dim": 8},
    "reformer": {
        "axial_pos_embds_dim": [20, 28],
        "axial_pos_shape": [4, 4],
        "attn_layers": ["local", "lsh"],
        "num_buckets": 4,
        "feed_forward_size": 80,
        "attention_head_size": 8,
        "is_decoder": True,
        "local_attn_chunk_length": 4,
        "lsh_attn_chunk_length": 4,
        "num_hashes": 2,
        "hash_seed": 0,
    },
    "rt_detr": _HYBRID_DETECTOR,
    "rt_detr_v2": {**_HYBRID_DETECTOR, "decoder_n_levels": 3},
    "rwkv": {"attention_hidden_size": 48, "intermediate_size": 80},
    "sam": {},
    "seamless_m4t": {
        "vocab_size": 101,
        "t2u_vocab_size": 101,
        "speech_encoder_layers": 2,
        "t2u_encoder_layers": 2,
        "t2u_decoder_layers": 2,
    },
    "segformer": {
        "hidden_sizes": [12, 24, 36, 48],
        "num_attention_heads": [1, 2, 3, 4],
        "decoder_hidden_size": 20,
        "depths": [1, 1, 1, 1],
    },
    "siglip_vision_model": {"hidden_size": 48, "num_attention_heads": 6},
    "siglip2_vision_model": {"num_patches": 16, "hidden_size": 48, "num_attention_heads": 6},
    **dict.fromkeys(("qwen2_vl_text", "qwen2_5_vl_text", "glm4v_text", "glm_image_text", "glm_ocr_text"), _SECTIONS),
    "glm4v_moe_text": {**_SECTIONS, "head_dim": 16},
    "paddleocr_vl_text": {"rope_parameters": {**_SECTIONS["rope_parameters"], "mrope_section": [1, 2, 2]}},
    "xclip_vision_model": {
        "mit_hidden_size": 26,
        "mit_intermediate_size": 60,
        "mit_num_attention_heads": 2,
        "mit_num_hidden_layers": 1,
        "num_frames": 4,
    },
    "xclip": {"prompt_num_attention_heads": 2},
    "speech_to_text": {"input_feat_per_channel": 20, "conv_channels": 32, "max_source_positions": 34},
    "speecht5": {"encoder_attention_heads": 6, "decoder_attention_heads": 6},
    "splinter": {},
    "squeezebert": {
        "embedding_size": 48,
        "q_groups": 2,
        "k_groups": 2,
        "v_groups": 2,
        "post_attention_groups": 1,
        "intermediate_groups": 4,
        "output_groups": 4,
    },
    "swiftformer": {"embed_dims": [12, 16, 20, 24], "depths": [1, 1, 1, 1], "image_size": 64},
    "swin": _WINDOWED,
    "swinv2": _WINDOWED,
    "swin2sr": {
        "image_size": 16,
        "patch_size": 1,
        "embed_dim": 24,
        "depths": [2, 2],
        "num_heads": [2, 4],
        "window_size": 4,
        "upscale": 2,
    },
    "t5": {},
    "table-transformer": _DETECTOR,
    "tapas": {"type_vocab_sizes": [3, 16, 16, 2, 16, 16, 10]},
    "textnet": {"hidden_sizes": [12, 12, 16, 20, 24], "stem_out_channels": 12, "image_size": [64, 64]},
    "timesfm": {"horizon_length": 8, "patch_length": 4, "context_length": 16, "head_dim": 8, "quantiles": [0.3, 0.7]},
    "timesformer": {"num_frames": 4},
    "udop": {"relative_attention_num_buckets": 32, "image_size": 32, "max_2d_position_embeddings": 32},
    "univnet": {"num_mel_bins": 20},
    "videomae": {"num_frames": 4, "tubelet_size": 2},
    "vilt": {"max_image_length": -1},
    "vitdet": {"image_size": 32},
    "vits": {
        "hidden_size": 48,
        "ffn_dim": 80,
        "flow_size": 24,
        "spectrogram_bins": 17,
        "num_attention_heads": 6,
        "upsample_rates": [4, 2],
        "upsample_kernel_sizes": [8, 4],
        "upsample_initial_channel": 24,
        "duration_predictor_filter_channels": 20,
        "prior_encoder_num_flows": 1,
        "duration_predictor_num_flows": 1,
        "posterior_encoder_num_wavenet_layers": 1,
    },
    "vivit": {"num_frames": 4, "tubelet_size": [2, 8, 8]},
    "wav2vec2-bert": {"vocab_size": 101, "feature_projection_input_dim": 20, "conv_depthwise_kernel_size": 3},
    "wav2vec2-conformer": {"vocab_size": 101, "conv_depthwise_kernel_size": 3},
    "xlm": {"n_heads": 6},
    "xlnet": {"d_inner": 80, "n_head": 6},
    "xlstm": {"embedding_dim": 48, "num_blocks": 2, "num_heads": 4, "chunk_size": 4, "ffn_round_up_to_multiple_of": 8},
    "xmod": {"default_language": "en_XX"},
    "yolos": {"image_size": [32, 40], "num_detection_tokens": 9},
    "yoso": {},
    "zamba": {
        "num_hidden_layers": 4,
        "layers_block_type": ["linear_attention", "hybrid"] * 2,
        "attention_hidden_size": 96,
        "attention_head_dim": 16,
        "mamba_dt_rank": 5,
        "num_key_value_heads": 6,
    },
    "zamba2": {
        "layers_block_type": ["linear_attention", "hybrid"],
        "mamba_ngroups": 2,
        "n_mamba_heads": 8,
        "mamba_headdim": 12,
        "num_mem_blocks": 1,
        "attention_head_dim": 16,
        "attention_hidden_size": 96,
        "num_key_value_heads": 6,
        "adapter_rank": 6,
    },
    "zaya": {"num_experts_per_tok": 1},
}

HEADS: dict[str, str] = {
    "autoformer": "AutoformerForPrediction",
    "informer": "InformerForPrediction",
    "patchtst": "PatchTSTForPrediction",
    "patchtsmixer": "PatchTSMixerForPrediction",
    "reformer": "ReformerModelWithLMHead",
    "time_series_transformer": "TimeSeriesTransformerForPrediction",
}

FRAMES: dict[str, int] = {"timesformer": 4, "videomae": 4, "vivit": 4, "xclip": 4, "vjepa2": 4, "tvp": 4}

ADJUST: dict[str, Callable[[Any], None]] = {}


def _randn(*shape: int) -> Inputs:
    return lambda config, generator: {"input_features": torch.randn(*shape, generator=generator)}


def _series(config: Any, generator: torch.Generator) -> dict[str, Any]:
    past = config.context_length + max(config.lags_sequence)
    return {
        "past_values": torch.rand(2, past, generator=generator),
        "past_time_features": torch.rand(2, past, config.num_time_features, generator=generator),
        "past_observed_mask": torch.ones(2, past),
        "future_values": torch.rand(2, config.prediction_length, generator=generator),
        "future_time_features": torch.rand(2, config.prediction_length, config.num_time_features, generator=generator),
        "only": True,
    }


def _decisions(config: Any, generator: torch.Generator) -> dict[str, Any]:
    return {
        "states": torch.randn(2, 5, config.state_dim, generator=generator),
        "actions": torch.randn(2, 5, config.act_dim, generator=generator),
        "rewards": torch.randn(2, 5, 1, generator=generator),
        "returns_to_go": torch.randn(2, 5, 1, generator=generator),
        "timesteps": torch.arange(5).repeat(2, 1),
        "attention_mask": torch.ones(2, 5),
        "only": True,
    }


def _channels(config: Any, generator: torch.Generator) -> dict[str, Any]:
    return {
        "past_values": torch.randn(2, config.context_length, config.num_input_channels, generator=generator),
        "only": True,
    }


def _wave(config: Any, generator: torch.Generator) -> dict[str, Any]:
    return {"input_values": torch.randn(2, 1, 240, generator=generator), "only": True}


def _seen(config: Any, generator: torch.Generator) -> dict[str, Any]:
    return {
        "visual_feats": torch.randn(2, 5, config.visual_feat_dim, generator=generator),
        "visual_pos": torch.rand(2, 5, 4, generator=generator),
    }


def _pixels(config: Any, generator: torch.Generator) -> dict[str, Any]:
    return {"pixel_values": torch.randn(2, 3, 32, 32, generator=generator)}


def _patches(generator: torch.Generator) -> dict[str, Any]:
    return {
        "pixel_values": torch.randn(2, 16, 192, generator=generator),
        "pixel_attention_mask": torch.ones(2, 16, dtype=torch.int64),
        "spatial_shapes": torch.tensor([[4, 4], [4, 4]]),
    }


def _video(config: Any, generator: torch.Generator) -> dict[str, Any]:
    return {"pixel_values_videos": torch.randn(2, 4, 3, 32, 32, generator=generator), "only": True}


def _frames(length: int) -> Inputs:
    return lambda config, generator: {"input_features": torch.randn(2, length, 20, generator=generator)}


INPUTS: dict[str, Inputs] = {
    **dict.fromkeys(("autoformer", "informer", "time_series_transformer"), _series),
    **dict.fromkeys(("patchtsmixer", "patchtst"), _channels),
    **dict.fromkeys(("dac", "encodec", "mimi", "xcodec"), _wave),
    "audio-spectrogram-transformer": lambda c, g: {"input_values": torch.randn(2, 48, 20, generator=g), "only": True},
    "clap": lambda c, g: {"input_features": torch.randn(2, 1, 32, 16, generator=g)},
    "clvp": lambda c, g: {"input_features": torch.randn(2, 80, 40, generator=g)},
    "decision_transformer": _decisions,
    "lxmert": _seen,
    "vilt": _pixels,
    "siglip": _pixels,
    "owlvit": _pixels,
    "owlv2": _pixels,
    "layoutlmv3": _pixels,
    "udop": _pixels,
    "flava": _pixels,
    "bridgetower": _pixels,
    "grounding-dino": lambda c, g: {"pixel_values": torch.randn(2, 3, 64, 64, generator=g)},
    "mm-grounding-dino": lambda c, g: {"pixel_values": torch.randn(2, 3, 64, 64, generator=g)},
    "vjepa2": _video,
    "videoprism_vision_model": _video,
    "moonshine": lambda c, g: {"input_values": torch.randn(2, 4000, generator=g)},
    "speech_to_text": _frames(40),
    "wav2vec2-bert": _frames(24),
    "univnet": lambda c, g: {
        "input_features": torch.randn(2, 12, 20, generator=g),
        "noise_sequence": torch.randn(2, 12, 64, generator=g),
    },
    "timesfm": lambda c, g: {
        "past_values": torch.randn(2, 16, generator=g),
        "freq": torch.zeros(2, dtype=torch.int64),
        "only": True,
    },
    "oneformer": lambda c, g: {
        "pixel_values": torch.randn(2, 3, 64, 64, generator=g),
        "task_inputs": torch.randint(0, 100, (2, c.task_seq_len), generator=g),
    },
    "switch_transformers": lambda c, g: {"use_cache": False},
    "siglip2": lambda c, g: _patches(g),
    "reformer": lambda c, g: {"input_ids": torch.randint(4, 101, (2, 16), generator=g), "only": True},
    "canine": lambda c, g: {"input_ids": torch.randint(4, 1000, (2, 32), generator=g), "only": True},
    "perceiver": lambda c, g: {"inputs": torch.randint(4, 101, (2, 11), generator=g), "only": True},
    "esm": lambda c, g: {"input_ids": torch.randint(4, 30, (2, 11), generator=g)},
}
