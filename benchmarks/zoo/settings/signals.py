"""Settings of single model types for sound and time series, where the general reduction does not do."""

from __future__ import annotations

from typing import Any

_SERIES = {
    "prediction_length": 5,
    "context_length": 9,
    "lags_sequence": [1, 2, 3],
    "num_time_features": 2,
    "d_model": 48,
    "num_parallel_samples": 3,
}
_PATCHES = {
    "context_length": 16,
    "patch_length": 4,
    "patch_stride": 4,
    "num_input_channels": 3,
    "prediction_length": 5,
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

SIGNALS: dict[str, dict[str, Any]] = {
    "audio-spectrogram-transformer": {"max_length": 48, "patch_size": 8, "frequency_stride": 6, "time_stride": 8},
    "autoformer": {**_SERIES, "moving_average": 3, "label_length": 4},
    "informer": {**_SERIES, "distil": False},  # halved lengths do not fit the mask that a trace makes
    "time_series_transformer": _SERIES,
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
    "csm": {"codebook_size": 32},
    "dac": _DAC,
    "decision_transformer": {"state_dim": 9, "act_dim": 4, "n_head": 6, "max_ep_len": 30},
    "encodec": _ENCODEC,
    "mimi": _MIMI,
    "moonshine": {
        "encoder_num_key_value_heads": 6,
        "decoder_num_key_value_heads": 6,
        "encoder_num_attention_heads": 6,
        "decoder_num_attention_heads": 6,
    },
    "patchtsmixer": {**_PATCHES, "d_model": 12, "num_layers": 2},
    "patchtst": {**_PATCHES, "d_model": 24, "num_attention_heads": 4, "ffn_dim": 40},
    "seamless_m4t": {
        "vocab_size": 101,
        "t2u_vocab_size": 101,
        "speech_encoder_layers": 2,
        "t2u_encoder_layers": 2,
        "t2u_decoder_layers": 2,
    },
    "speech_to_text": {"input_feat_per_channel": 20, "conv_channels": 32, "max_source_positions": 34},
    "speecht5": {"encoder_attention_heads": 6, "decoder_attention_heads": 6},
    "timesfm": {"horizon_length": 8, "patch_length": 4, "context_length": 16, "head_dim": 8, "quantiles": [0.3, 0.7]},
    "univnet": {"num_mel_bins": 20},
    "vits": {
        "noise_scale": 0.0,  # otherwise two runs differ
        "noise_scale_duration": 0.0,
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
    "wav2vec2-bert": {"vocab_size": 101, "feature_projection_input_dim": 20, "conv_depthwise_kernel_size": 3},
    "wav2vec2-conformer": {"vocab_size": 101, "conv_depthwise_kernel_size": 3},
}
