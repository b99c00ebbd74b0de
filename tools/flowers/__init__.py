"""Parts of tools/train_flowers.py: a small GCViT distilled from an ImageNet teacher on the tf_flowers photos."""
