"""The real NVRTC, by ctypes: no card, no driver, no toolkit; `pip install nvidia-cuda-nvrtc==13.0.88` is enough, into this
Python or into target/cuda-machine/venv."""
import ctypes, glob, os, re, site, sys


def library():
    places = [os.environ.get("SOFT_NVRTC", "")]
    here = os.path.dirname(os.path.abspath(__file__))
    sites = site.getsitepackages() + [f"{here}/../{venv}/lib/python3*/site-packages" for venv in ("venv",)]
    places += [p for s in sites for p in sorted(glob.glob(s + "/nvidia/*/lib/libnvrtc.so.1[23]"))]
    for path in [p for p in places if p]:
        # NVRTC opens its builtins by their bare name: once loaded, they are found.
        for builtins in glob.glob(os.path.join(os.path.dirname(path), "libnvrtc-builtins.so.*")):
            ctypes.CDLL(builtins)
        return ctypes.CDLL(path)
    sys.exit("no NVRTC: pip install nvidia-cuda-nvrtc==13.0.88, or name its libnvrtc.so.13 in SOFT_NVRTC")


def compile(source, name, options, what):
    """(text or bytes of what is wanted, `PTX` or `CUBIN`, or None; the log)."""
    lib, program = library(), ctypes.c_void_p()
    lib.nvrtcCreateProgram(ctypes.byref(program), source.encode(), name.encode(), 0, None, None)
    code = lib.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*[o.encode() for o in options]))

    def get(kind):
        size = ctypes.c_size_t()
        getattr(lib, f"nvrtcGet{kind}Size")(program, ctypes.byref(size))
        room = ctypes.create_string_buffer(size.value)
        getattr(lib, f"nvrtcGet{kind}")(program, room)
        return room.raw[: size.value]

    log = get("ProgramLog").decode(errors="replace").rstrip("\0\n")
    return (None if code else get(what)), log
