"""One small model of every timm module, and every torchvision family, with random weights and small images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

Made = tuple[nn.Module, Sequence[Any], Mapping[str, Any]]

_LABELS = 7
_DETECTORS = {
    "fasterrcnn_mobilenet_v3_large_320_fpn": 96,
    "fcos_resnet50_fpn": 96,
    "maskrcnn_resnet50_fpn": 96,
    "keypointrcnn_resnet50_fpn": 96,
    "retinanet_resnet50_fpn": 96,
    "ssdlite320_mobilenet_v3_large": 320,
    "ssd300_vgg16": 300,
}
_VIDEO = {"mc3_18": 32, "r2plus1d_18": 32, "r3d_18": 32, "s3d": 224, "swin3d_t": 32, "mvit_v1_b": 224, "mvit_v2_s": 224}
_IMAGES = {
    **dict.fromkeys(("convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s"), 64),
    **dict.fromkeys(("deeplabv3_mobilenet_v3_large", "fcn_resnet50", "lraspp_mobilenet_v3_large", "googlenet"), 64),
    **dict.fromkeys(("mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_400mf"), 64),
    **dict.fromkeys(("resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "shufflenet_v2_x0_5"), 64),
    **dict.fromkeys(("squeezenet1_0", "swin_t", "swin_v2_t"), 64),
    # pooled to 7 × 7: of smaller images several places of that would be equal, hence exchangeable
    **dict.fromkeys(("alexnet", "vgg11", "vgg11_bn"), 224),
    "inception_v3": 96,
    "maxvit_t": 224,
    "vit_b_32": 224,
}
TORCHVISION = (*_IMAGES, *_VIDEO, "raft_small", *_DETECTORS)


def torchvision_model(name: str) -> Made:
    """One torchvision model and its inputs."""
    from torchvision import models

    generator = torch.Generator().manual_seed(1)
    settings: dict[str, Any] = {"weights": None}
    if name in _DETECTORS or name in ("deeplabv3_mobilenet_v3_large", "fcn_resnet50", "lraspp_mobilenet_v3_large"):
        settings["weights_backbone"] = None
    if name in ("googlenet", "inception_v3"):
        settings["init_weights"] = False
    model = models.get_model(name, **settings)
    if name in _DETECTORS:
        return model, ([torch.rand(3, _DETECTORS[name], _DETECTORS[name], generator=generator)],), {}
    if name in _VIDEO:
        frames = 16 if name not in ("swin3d_t",) else 4
        return model, (torch.randn(1, 3, frames, _VIDEO[name], _VIDEO[name], generator=generator),), {}
    if name == "raft_small":
        images = [torch.randn(1, 3, 128, 128, generator=generator) for _ in range(2)]
        return model, tuple(images), {"num_flow_updates": 2}
    return model, (torch.randn(2, 3, _IMAGES[name], _IMAGES[name], generator=generator),), {}


# module: model, side of the image, settings that reduce it
TIMM: dict[str, tuple[str, int, dict[str, Any]]] = {
    "beit": ("beit_base_patch16_224", 64, {"img_size": 64, "depth": 2, "embed_dim": 48, "num_heads": 6}),
    "byoanet": ("halonet_h1", 256, {}),
    "byobnet": ("test_byobnet", 64, {}),
    "cait": ("cait_xxs24_224", 64, {"img_size": 64, "depth": 2}),
    "coat": ("coat_lite_tiny", 64, {"img_size": 64}),
    "convit": ("convit_tiny", 64, {"img_size": 64, "depth": 2, "local_up_to_layer": 1}),
    "convmixer": ("convmixer_768_32", 63, {}),
    "convnext": ("test_convnext3", 64, {}),
    "cpubone": ("cpubone_nano", 64, {}),
    "crossvit": ("crossvit_tiny_240", 240, {}),
    "csatv2": ("csatv2", 512, {}),
    "cspnet": ("cs3darknet_focus_s", 64, {}),
    "cspnext": ("cspnext_tiny", 64, {}),
    "davit": ("davit_tiny", 64, {"embed_dims": (24, 48, 72, 96), "num_heads": (2, 4, 6, 8), "depths": (1, 1, 1, 1)}),
    "deepseek_vit": ("deepseek_vit_412m", 84, {"img_size": 84, "depth": 2, "embed_dim": 48, "num_heads": 6}),
    "deit": ("deit_tiny_patch16_224", 64, {"img_size": 64, "depth": 2}),
    "densenet": ("densenet121", 64, {"block_config": (2, 2, 2, 2)}),
    "dla": ("dla46x_c", 64, {}),
    "dpn": ("dpn48b", 64, {}),
    "edgenext": ("edgenext_xx_small", 64, {}),
    "efficientformer": ("efficientformer_l1", 224, {}),
    "efficientformer_v2": ("efficientformerv2_s0", 224, {}),
    "efficientnet": ("test_efficientnet_evos", 64, {}),
    "efficientvim": ("efficientvim_m1", 64, {}),
    "efficientvit_mit": ("efficientvit_b0", 64, {}),
    "efficientvit_msra": ("efficientvit_m0", 224, {}),
    "eva": ("vit_tiny_patch16_dinov3_qkvb", 64, {"img_size": 64, "depth": 2}),
    "fasternet": ("fasternet_t0", 64, {}),
    "fastvit": ("fastvit_t8", 64, {}),
    "focalnet": ("focalnet_tiny_srf", 64, {}),
    "gcvit": ("gcvit_xxtiny", 224, {}),
    "gemma4_vit": ("gemma4_vit_167m_enc", 96, {"img_size": 96, "depth": 2}),
    "ghostnet": ("ghostnet_050", 64, {}),
    "hardcorenas": ("hardcorenas_a", 64, {}),
    "hgnet": ("hgnetv2_b0", 64, {}),
    "hiera": ("hiera_tiny_224", 224, {"embed_dim": 24}),
    "hieradet_sam2": ("sam2_hiera_tiny", 224, {"embed_dim": 24}),
    "hrnet": ("hrnet_w18_small", 64, {}),
    "iformer": ("iformer_t", 64, {}),
    "inception_next": ("inception_next_atto", 64, {}),
    "inception_resnet_v2": ("inception_resnet_v2", 96, {}),
    "inception_v3": ("inception_v3", 96, {}),
    "inception_v4": ("inception_v4", 96, {}),
    "lcnetv2": ("lcnetv2_small", 64, {}),
    "levit": ("levit_128s", 224, {}),
    "lowformer": ("lowformer_b0", 64, {}),
    "mambaout": ("test_mambaout", 64, {}),
    "maxxvit": ("test_coatnet", 160, {}),
    "metaformer": ("poolformer_s12", 64, {}),
    "mlp_mixer": ("gmlp_ti16_224", 64, {"img_size": 64}),
    "mobilenetv3": ("lcnet_035", 64, {}),
    "mobilenetv5": ("mobilenetv5_base", 64, {}),
    "mobilevit": ("mobilevitv2_050", 64, {}),
    "mvitv2": ("mvitv2_tiny", 224, {}),
    "naflexvit": ("naflexvit_base_patch16_parfac_gap", 64, {"depth": 2, "embed_dim": 48, "num_heads": 6}),
    "nasnet": ("nasnetalarge", 96, {}),
    "nest": ("nest_tiny", 224, {}),
    "nextvit": ("nextvit_small", 64, {}),
    "nfnet": ("test_nfnet", 64, {}),
    "pit": ("pit_ti_224", 224, {}),
    "pnasnet": ("pnasnet5large", 96, {}),
    "pvt_v2": ("pvt_v2_b0", 64, {}),
    "qwen3_vit": ("qwen3_vit_88m", 64, {"img_size": 64, "depth": 2}),
    "rdnet": ("rdnet_tiny", 64, {}),
    "regnet": ("regnetx_002", 64, {}),
    "repghost": ("repghostnet_050", 64, {}),
    "repvit": ("repvit_m0_9", 64, {}),
    "res2net": ("res2net50_48w_2s", 64, {}),
    "resnest": ("resnest14d", 64, {}),
    "resnet": ("test_resnet", 64, {}),
    "resnetv2": ("resnetv2_18", 64, {}),
    "rexnet": ("rexnet_100", 64, {}),
    "selecsls": ("selecsls42", 64, {}),
    "senet": ("legacy_seresnet18", 64, {}),
    "sequencer": ("sequencer2d_s", 224, {}),
    "shvit": ("shvit_s1", 128, {}),
    "sknet": ("skresnet18", 64, {}),
    "starnet": ("starnet_s050", 64, {}),
    "swiftformer": ("swiftformer_xs", 224, {}),
    "swin_transformer": ("swin_tiny_patch4_window7_224", 224, {"embed_dim": 24, "depths": (2, 1, 1, 1)}),
    "swin_transformer_v2": ("swinv2_tiny_window8_256", 256, {"embed_dim": 24, "depths": (2, 1, 1, 1)}),
    "swin_transformer_v2_cr": ("swinv2_cr_tiny_224", 224, {"embed_dim": 24, "depths": (2, 1, 1, 1)}),
    "tiny_vit": ("tiny_vit_5m_224", 224, {}),
    "tnt": ("tnt_s_legacy_patch16_224", 224, {"depth": 2}),
    "tresnet": ("tresnet_m", 64, {}),
    "twins": ("twins_pcpvt_small", 224, {}),
    "vgg": ("vgg11", 224, {}),
    "visformer": ("visformer_tiny", 224, {}),
    "vision_transformer": ("test_vit", 160, {}),
    "vision_transformer_hybrid": ("vit_tiny_r_s16_p8_224", 224, {"depth": 2}),
    "vision_transformer_relpos": ("test_vit_relpos", 160, {}),
    "vision_transformer_sam": ("samvit_base_patch16_224", 224, {"depth": 2, "embed_dim": 48, "num_heads": 6}),
    "vitamin": ("vitamin_small_224", 224, {}),
    "volo": ("volo_d1_224", 224, {}),
    "vovnet": ("ese_vovnet19b_slim_dw", 64, {}),
    "xception": ("legacy_xception", 96, {}),
    "xception_aligned": ("xception41p", 96, {}),
    "xcit": ("xcit_nano_12_p8_224", 64, {"img_size": 64, "depth": 2}),
}


def timm_model(module: str) -> Made:
    """The model that stands for a timm module, and its input."""
    import timm

    name, side, settings = TIMM[module]
    model = timm.create_model(name, num_classes=_LABELS, **settings)
    generator = torch.Generator().manual_seed(1)
    return model, (torch.randn(2, 3, side, side, generator=generator),), {}
