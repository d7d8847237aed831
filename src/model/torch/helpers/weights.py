def read_weights(path):
    """The tensors of a safetensors file by their names: a header in JSON behind its length, then the numbers."""
    content = Path(path).read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
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
