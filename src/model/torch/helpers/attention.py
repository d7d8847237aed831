def attention(queries, keys, values, heads):
    """Scaled dot-product attention of every pixel to every pixel, head by head: [n, c, h, w] to the queries' shape."""

    def by_head(x):
        return x.flatten(2).unflatten(1, (heads, -1)).transpose(2, 3)

    seen = F.scaled_dot_product_attention(by_head(queries), by_head(keys), by_head(values))
    return seen.transpose(2, 3).reshape(queries.shape)
