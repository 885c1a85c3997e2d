// The rule of non-maximum suppression, shared by CPU and CUDA, and the CUDA passes.
#pragma once

#include "../common/grouped_boxes.h"

namespace maskrcnn {

template <typename A>
struct Nms {
  GroupedBoxes<A> boxes;
  A threshold;
  int64_t max_keep;  // per group; 0 for no limit

  // The IoU must be strictly above the threshold. A threshold of 0 or less suppresses nothing.
  MASKRCNN_HOST_DEVICE bool suppresses(int64_t better, int64_t worse) const noexcept {
    return threshold > A(0) && boxes.iou(better, worse) > threshold;
  }

  MASKRCNN_HOST_DEVICE bool is_full(int64_t kept) const noexcept {
    return max_keep > 0 && kept >= max_keep;
  }
};

// On CUDA the boxes are processed in bands of kBand, with three passes per band: compute one bit
// for each pair inside the band; select greedily inside the band, with one thread per group; and
// suppress the boxes behind the band by the selected ones. Each pair inside a group is tested at
// most once, there is no host synchronization, and the memory is 8 words per box of one band.
constexpr int64_t kWordBits = 64;
constexpr int64_t kBandWords = 8;
constexpr int64_t kBand = kWordBits * kBandWords;

template <typename A>
struct NmsBand {
  Nms<A> op;
  int64_t begin, end;
  uint64_t* words;  // [kBand, kBandWords]: bit j of row i: box i suppresses the later box j
  bool* keep;       // [N]
  // Number of kept boxes of the group at the border of two bands, before and after this band.
  const int64_t* kept_before;
  int64_t* kept_after;
};

// Fills the words: index is row * kBandWords + word.
template <typename A>
struct NmsPairs {
  NmsBand<A> band;

  MASKRCNN_HOST_DEVICE void operator()(int64_t index) const noexcept {
    const int64_t i = band.begin + index / kBandWords;
    const int64_t first = band.begin + index % kBandWords * kWordBits;
    const int64_t group = band.op.boxes.groups[i];
    uint64_t word = 0;
    for (int64_t bit = 0; band.keep[i] && bit < kWordBits; ++bit) {
      const int64_t j = first + bit;
      if (j <= i) continue;
      if (j >= band.end || !band.op.boxes.in_group(j, group)) break;
      if (band.op.suppresses(i, j)) word |= uint64_t{1} << bit;
    }
    band.words[index] = word;
  }
};

// Selects in the part of a group inside the band, if the box at begin + index is the first of it.
template <typename A>
struct NmsChoice {
  NmsBand<A> band;

  MASKRCNN_HOST_DEVICE void operator()(int64_t index) const noexcept {
    const GroupedBoxes<A>& boxes = band.op.boxes;
    const int64_t first = band.begin + index;
    const bool begins = boxes.begins_group(first);
    if (index > 0 && !begins) return;
    const int64_t group = boxes.groups[first];
    uint64_t struck[kBandWords] = {};
    int64_t kept = begins ? 0 : *band.kept_before;
    int64_t i = first;
    for (; i < band.end && boxes.in_group(i, group); ++i) {
      const int64_t row = i - band.begin;
      const bool is_struck = struck[row / kWordBits] >> (row % kWordBits) & 1;
      const bool is_kept = band.keep[i] && !is_struck && !band.op.is_full(kept);
      band.keep[i] = is_kept;
      kept += is_kept;
      // every row is read, kept or not, so that the loads depend on nothing
      const uint64_t mask = is_kept ? ~uint64_t{0} : 0;
      for (int64_t w = 0; w < kBandWords; ++w) {
        struck[w] |= band.words[row * kBandWords + w] & mask;
      }
    }
    if (i == band.end) *band.kept_after = kept;
  }
};

// Drops the box at end + index if a kept box of the band suppresses it, or if its group already has
// max_keep boxes.
template <typename A>
struct NmsStrike {
  NmsBand<A> band;

  MASKRCNN_HOST_DEVICE void operator()(int64_t index) const noexcept {
    const int64_t j = band.end + index;
    const int64_t group = band.op.boxes.groups[band.end - 1];
    if (!band.op.boxes.in_group(j, group) || !band.keep[j]) return;
    bool stays = !band.op.is_full(*band.kept_after);
    for (int64_t i = band.end - 1; stays && i >= band.begin; --i) {
      if (!band.op.boxes.in_group(i, group)) break;
      stays = !(band.keep[i] && band.op.suppresses(i, j));
    }
    band.keep[j] = stays;
  }
};

}  // namespace maskrcnn
