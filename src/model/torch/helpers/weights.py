# How many batches a batch normalisation has seen is no weight.
COUNTER = ".num_batches_tracked"


def read_weights(path):
    """The tensors of a safetensors file by their names: a header in JSON behind its length, then the numbers."""
    content = Path(path).read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        if name.endswith(COUNTER):
            continue
        if entry["dtype"] != "F32":
            raise ValueError(f"{path}: {name} is {entry['dtype']}, expected F32")
        begin, end = entry["data_offsets"]
        numbers = bytearray(content[start + begin : start + end])
        tensors[name] = torch.frombuffer(numbers, dtype=torch.float32).reshape(entry["shape"])
    return tensors


def build():
    """The network with fresh weights."""
    return Net()


def load(path):
    """The network with the weights of a safetensors file, in evaluation mode."""
    net = build()
    net.load_state_dict(read_weights(path))
    return net.eval()


def save(net, path):
    """Writes the weights as a safetensors file, which `load` and robustnas's --weights read."""
    header, parts, end = {"__metadata__": {"layout": "pytorch"}}, [], 0
    for name, tensor in net.state_dict().items():
        if name.endswith(COUNTER):
            continue
        tensor = tensor.detach().to("cpu", torch.float32).contiguous()
        parts.append(ctypes.string_at(tensor.data_ptr(), 4 * tensor.numel()))
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [end, end + len(parts[-1])]}
        end += len(parts[-1])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(len(text).to_bytes(8, "little") + text + b"".join(parts))
