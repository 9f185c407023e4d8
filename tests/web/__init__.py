"""Pages, as browsers see them."""
