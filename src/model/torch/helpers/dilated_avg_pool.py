def dilated_avg_pool2d(x, kernel_size, stride, padding, dilation, count_include_pad):
    """The mean over a window with gaps."""
    window = {"stride": stride, "padding": padding, "dilation": dilation}
    channels = x.shape[1]
    rows, columns = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    total = F.conv2d(x, x.new_ones(channels, 1, rows, columns), groups=channels, **window)
    if count_include_pad:
        return total / (rows * columns)
    return total / F.conv2d(torch.ones_like(x[:1, :1]), x.new_ones(1, 1, rows, columns), **window)
