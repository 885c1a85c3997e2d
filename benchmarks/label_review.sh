#!/usr/bin/env bash
# Measures the label review. Puts errors into 10 % of the labels (label_errors.py), trains Mask Scoring
# R-CNN (half-width ResNet-50-FPN) on each half of the images with those labels, lets it predict the
# other half, and compares how well reviews by mask score, by class score and by cleanlab find
# the errors (label_review.py; cleanlab is installed separately). The folds are trained side by side, a
# thread each; what is done already is kept. Later KEY VALUE pairs win.
# Usage: benchmarks/label_review.sh DATA WEIGHTS OUTPUT [KEY VALUE ...]
#   DATA     folder with images/ and annotations/instances_{train,val}.json
#   WEIGHTS  half-width ResNet-50 of 104, 117, 123 mean BGR input, such as resnet50_thin.npz
source "$(dirname "$0")/common.sh"
export OMP_NUM_THREADS=1

train_fold() { # FOLD OTHER KEY VALUE...: trains on one half, predicts the other
  local fold=$1 other=$2
  shift 2
  "$python" "${train[@]}" \
    --register "fold_$fold" "$output/fold_$fold.json" "$data/images" \
    --register "fold_$other" "$output/fold_$other.json" "$data/images" \
    "${model[@]}" OUTPUT_DIR "$output/model_$fold" MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE 64 \
    MODEL.BACKBONE.OUT_CHANNELS 128 MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM 512 \
    MODEL.ROI_MASK_HEAD.CONV_LAYERS "(128, 128, 128, 128)" DTYPE bfloat16 \
    INPUT.MIN_SIZE_TRAIN 256 INPUT.MAX_SIZE_TRAIN 432 INPUT.MIN_SIZE_TEST 256 INPUT.MAX_SIZE_TEST 432 \
    SOLVER.IMS_PER_BATCH 2 SOLVER.BASE_LR 0.01 SOLVER.WARMUP_ITERS 50 SOLVER.CLIP_GRAD_NORM 10.0 \
    SOLVER.MAX_ITER 500 SOLVER.STEPS "(380, 460)" "$@"
}

mkdir -p "$output"
[ -e "$output/errors.json" ] || "$python" "$root/benchmarks/label_errors.py" "$data" "$output"
jobs=()
for fold in 0 1; do
  other=$((1 - fold))
  [ -e "$output/model_$fold/inference/fold_$other/segm.json" ] && continue
  train_fold $fold $other "$@" > "$output/model_$fold.log" 2>&1 &
  jobs+=($!)
done
for job in "${jobs[@]}"; do wait "$job" || { tail "$output"/model_?.log; exit 1; }; done

"$python" "$root/benchmarks/label_review.py" "$output"
