#!/usr/bin/env bash
# Trains pennfudan.sh at 256 pixels for 200 iterations with three seeds in float32 and one in
# bfloat16, and compares the mean of the last 100 losses.
# Usage: benchmarks/bf16_losses.sh DATA WEIGHTS OUTPUT [KEY VALUE ...]
#   DATA     folder with images/ and annotations/instances_{train,val}.json
#   WEIGHTS  half-width ResNet-50 of 104, 117, 123 mean BGR input, such as resnet50_thin.npz
source "$(dirname "$0")/common.sh"

for run in "float32 0" "float32 1" "float32 2" "bfloat16 0"; do
  read -r dtype seed <<<"$run"
  "$root/benchmarks/pennfudan.sh" "$data" "$weights" "$output/$dtype-$seed" \
    DATASETS.TEST "()" DTYPE "$dtype" SEED "$seed" INPUT.MIN_SIZE_TRAIN 256 INPUT.MAX_SIZE_TRAIN 432 \
    SOLVER.MAX_ITER 200 SOLVER.STEPS "(140, 180)" "$@"
done

exec "$python" - "$output" <<'PYTHON'
import json, statistics, sys
from pathlib import Path

def last_losses(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return statistics.mean(line["loss"] for line in lines if line["iteration"] > 100)

means = {run.name: last_losses(run) for run in sorted(Path(sys.argv[1]).iterdir())}
seeds = [mean for name, mean in means.items() if name.startswith("float32")]
mean, sd = statistics.mean(seeds), statistics.stdev(seeds)
for name, value in means.items():
    print(f"{name:12} {value:.4f}")
print(f"float32 {mean:.4f}, sd {sd:.4f}; bfloat16 is {(means['bfloat16-0'] - mean) / sd:+.2f} sd away")
PYTHON
