#!/usr/bin/env bash
# build.sh DIR: builds the CUDA machine in software into DIR/lib: libraries with the sonames that cudarc links, from our sources
# and, for everything that is not there, a function that says so. The list of those is read from cudarc's source: run
# `cargo fetch` first.
set -euo pipefail
out=$(realpath -m "$1")/lib
cd "$(dirname "${BASH_SOURCE[0]}")"
cudarc=$(ls -d "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/cudarc-0.19.*/src | sort -V | tail -1)
mkdir -p "$out"
flags=(-std=c++17 -O3 -g1 -fPIC -Wall -fno-strict-aliasing -ftls-model=initial-exec)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

missing() { # MODULE PREFIX CODE: a weak function for each that cudarc declares
  { echo 'extern int soft_missing(const char *, int);'
    grep -ohE "\bfn $2[A-Z_][A-Za-z0-9_]*" "$cudarc/$1/sys/mod.rs" | sed 's/^fn //' | sort -u |
      awk -v code="$3" '{ print "__attribute__((weak)) int " $1 "(void) { return soft_missing(\"" $1 "\", " code "); }" }'
  } | gcc -x c -w -fno-builtin -O1 -fPIC -c -o "$work/$1.o" -
}
library() { # NAME SONAME OBJECT...
  local name=$1 soname=$2
  shift 2
  g++ -shared -o "$out/$soname" -Wl,-soname,"$soname" "$@" -ldl -lpthread
  ln -sfn "$soname" "$out/lib$name.so"
}
for part in machine device memory profile compile driver nvrtc; do g++ "${flags[@]}" -c -o "$work/soft-$part.o" "$part.cpp"; done
g++ "${flags[@]}" -DSOFT_BLAS -c -o "$work/soft-blas.o" libraries.cpp
g++ "${flags[@]}" -DSOFT_RAND -c -o "$work/soft-rand.o" libraries.cpp
g++ "${flags[@]}" -DSOFT_DNN -c -o "$work/soft-dnn.o" libraries.cpp
missing driver cu 801; missing nvrtc nvrtc 11; missing cublas cublas 15; missing cublaslt cublasLt 15
missing curand curand 201; missing cudnn cudnn 3000

library cuda libcuda.so.1 "$work"/soft-{machine,device,memory,profile,compile,driver}.o "$work/driver.o"
driver=("-L$out" -lcuda)
library nvrtc libnvrtc.so.13 "$work"/soft-nvrtc.o "$work/nvrtc.o" "${driver[@]}"
library cublas libcublas.so.13 "$work/soft-blas.o" "$work/cublas.o" "${driver[@]}"
library cublasLt libcublasLt.so.13 "$work/cublaslt.o" "${driver[@]}"
library curand libcurand.so.10 "$work/soft-rand.o" "$work/curand.o" "${driver[@]}"
library cudnn libcudnn.so.9 "$work/soft-dnn.o" "$work/cudnn.o" "${driver[@]}"
library cudart libcudart.so.13
cp kernel.h ptx.h ptx.py nvrtc_real.py "$out/"
rm -rf "$out/include" && cp -r include "$out/"
cat kernel.h ptx.h ptx.py $(find include -type f | sort) | sha256sum >"$out/stamp"  # what was compiled with other headers is not used
