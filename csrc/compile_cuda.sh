#!/usr/bin/env bash
# Compiles every CUDA source for every GPU generation that is served, and keeps nothing: a machine
# without a GPU can still tell that they compile. Usage: csrc/compile_cuda.sh [python with torch]
set -euo pipefail

python=${1:-python3}
archs=${CUDA_ARCHS:-"75 80 86 89 90 100 120"}
folder=$(cd "$(dirname "$0")" && pwd)
nvcc=$(command -v nvcc || true)
if [ -z "$nvcc" ] && [ -x "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" ]; then
  nvcc=${CUDA_HOME:-/usr/local/cuda}/bin/nvcc
fi
if [ -z "$nvcc" ]; then
  echo "CUDA sources not compiled: nvcc was not found (not in PATH, not in \$CUDA_HOME/bin)"
  exit 0
fi

"$nvcc" --version | grep release
includes=$("$python" -c '
from torch.utils.cpp_extension import include_paths
print(" ".join(f"-isystem {path}" for path in include_paths()))')
codes=()
for arch in $archs; do codes+=(-gencode "arch=compute_$arch,code=sm_$arch"); done
output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT

for source in "$folder"/*/cuda.cu; do
  echo "nvcc ${source#"$folder"/} for sm_${archs// /, sm_}"
  # shellcheck disable=SC2086
  "$nvcc" -std=c++20 -O3 --fmad=false -DUSE_CUDA -DTORCH_TARGET_VERSION=0x020a000000000000 \
    -Xcompiler -fPIC,-Wall -Werror all-warnings $includes "${codes[@]}" --threads 2 \
    -c "$source" -o "$output/cuda.o"
done
echo "All CUDA sources compile."
