// A pasted mask as COCO's compressed RLE: runs down the columns, from a run of zeros on.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "../common/host_device.h"
#include "../common/mask_rows.h"

namespace maskrcnn {

// A number of COCO's text: little-endian groups of 5 bits, signed; each says whether more follow.
inline void append_count(int64_t number, std::string& text) {
  bool more = true;
  while (more) {
    int64_t bits = number & 0x1f;
    number >>= 5;
    more = (bits & 0x10) ? number != -1 : number != 0;
    if (more) bits |= 0x20;
    text.push_back(static_cast<char>(bits + 48));
  }
}

// The ends of the runs of a mask in the order of its columns, then the text.
class RunWriter {
 public:
  // Adds the place where the pixels change from 0 to 1 or back.
  void change_at(int64_t place) {
    // a run that ends at the bottom goes on where the next one begins at the top
    if (!places_.empty() && places_.back() == place) {
      places_.pop_back();
    } else {
      places_.push_back(place);
    }
  }

  std::string text(int64_t pixels) const {
    std::string text;
    std::vector<int64_t> runs;
    runs.reserve(places_.size() + 1);
    int64_t last = 0;
    for (const int64_t place : places_) {
      runs.push_back(place - last);
      last = place;
    }
    if (last < pixels) runs.push_back(pixels - last);
    for (size_t i = 0; i < runs.size(); ++i) {
      // from the fourth on, a number is the difference to the one before the last
      append_count(i > 2 ? runs[i] - runs[i - 2] : runs[i], text);
    }
    return text;
  }

 private:
  std::vector<int64_t> places_;
};

// Finds where the columns change, a row of the image at a time.
class ColumnChanges {
 public:
  explicit ColumnChanges(const MaskRows& rows)
      : rows_(rows),
        above_(padded(rows.width())),
        here_(padded(rows.width())),
        starts_(rows.width() + 1) {
    for (int64_t y = rows.top(); y < rows.bottom(); ++y) {
      rows.inside(y, here_.data());
      find_changes(y);
    }
    here_.assign(here_.size(), 0);
    find_changes(rows.bottom());
    sort_by_column();
  }

  std::string text(int64_t height, int64_t width) const {
    RunWriter writer;
    for (int64_t x = 0; x < rows_.width(); ++x) {
      for (int64_t i = starts_[x]; i < starts_[x + 1]; ++i) {
        writer.change_at((rows_.left() + x) * height + sorted_[i]);
      }
    }
    return writer.text(height * width);
  }

 private:
  struct Change {
    int32_t x, y;
  };

  // Rows are read 8 pixels at a time.
  static int64_t padded(int64_t width) { return (width + 7) / 8 * 8; }

  void find_changes(int64_t y) {
    for (size_t x = 0; x < here_.size(); x += 8) {
      uint64_t now, before;
      std::memcpy(&now, here_.data() + x, 8);
      std::memcpy(&before, above_.data() + x, 8);
      if (now == before) continue;
      for (size_t i = x; i < x + 8; ++i) {
        if (here_[i] != above_[i]) {
          changes_.push_back({static_cast<int32_t>(i), static_cast<int32_t>(y)});
        }
      }
    }
    std::swap(here_, above_);
  }

  void sort_by_column() {
    for (const Change& change : changes_) ++starts_[change.x + 1];
    for (size_t x = 1; x < starts_.size(); ++x) starts_[x] += starts_[x - 1];
    sorted_.resize(changes_.size());
    std::vector<int64_t> next(starts_);
    for (const Change& change : changes_) sorted_[next[change.x]++] = change.y;
  }

  const MaskRows& rows_;
  std::vector<uint8_t> above_, here_;
  std::vector<Change> changes_;  // in the order of the rows
  std::vector<int64_t> starts_;  // of each column in sorted_
  std::vector<int32_t> sorted_;  // the rows of the changes, column by column
};

// The RLE of `mask` [M, M] pasted at `box`, without a plane of the size of the image.
inline std::string mask_to_rle(const PasteRule& rule, const float* mask, const float* box) {
  const MaskRows rows(rule, mask, box);
  if (rows.empty()) return RunWriter().text(rule.height * rule.width);
  return ColumnChanges(rows).text(rule.height, rule.width);
}

}  // namespace maskrcnn
