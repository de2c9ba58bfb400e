"""Pure loss functions on tensors."""
