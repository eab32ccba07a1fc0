"""Made-up anatomy as numpy arrays: label volumes first, then what each modality sees of them."""
