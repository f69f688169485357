"""Commands on a user's own images: denoise, lower the dose, observe, analyse ratings."""
