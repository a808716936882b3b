// rkvs salvage: exactly what is left, and nothing else.
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "tests/cli/tool.h"
#include "tests/snapshot/snapshot_model.h"
#include "tests/support/test_util.h"

namespace rkvs::testing {
namespace {

using internal::FrameHeader;
using internal::FrameKind;
using nlohmann::json;

struct Frame {
  size_t offset;
  size_t size;  // with its header
  FrameKind kind;
};

std::vector<Frame> frames_of(const std::string& file) {
  std::vector<Frame> frames;
  for (size_t offset = 0; offset < file.size();) {
    FrameHeader header;
    std::memcpy(&header, file.data() + offset, sizeof header);
    frames.push_back({offset, sizeof header + header.payload_length, header.kind});
    offset += frames.back().size;
  }
  return frames;
}

// Puts the checksum right after a change to the frame.
void fix_checksum(std::string& file, const Frame& frame) {
  internal::Checksum checksum;
  checksum.update({file.data() + frame.offset, 24});
  checksum.update({file.data() + frame.offset + 32, frame.size - 32});
  const uint64_t digest = checksum.digest();
  std::memcpy(file.data() + frame.offset + 24, &digest, sizeof digest);
}

class SalvageTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (directory_.path() / name).string(); }

  ToolResult run(const std::string& damaged) {
    write_file(path("bad"), damaged);
    return run_tool({"salvage", path("bad"), "--to", path("good"), "--json"});
  }
  // What the tool saves of the file. The result is always a whole snapshot.
  Model salvage(const std::string& damaged) {
    const ToolResult result = run(damaged);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    if (result.exit_code != 0) return {};
    report_ = json::parse(result.out);
    EXPECT_EQ(run_tool({"verify", path("good")}).exit_code, 0);
    EXPECT_EQ(names_in(directory_.path()), (std::vector<std::string>{"bad", "good"}));
    auto model = read_model(read_file(path("good")));
    EXPECT_TRUE(is_ok(model));
    return model.ok() ? *model : Model();
  }

  // `chunks` in each namespace, of `per_chunk` entries of their own.
  Model chunked_model(int namespaces, int chunks, int per_chunk) {
    Model model;
    model.header.created_unix_ms = 1767323045678;
    model.header.library_version = "0.9.0";
    for (int n = 0; n < namespaces; ++n) {
      ModelNamespace& ns = model.add("ns" + std::to_string(n));
      ns.info.max_keys = 100000 + static_cast<uint64_t>(n);
      for (int i = 0; i < chunks * per_chunk; ++i) {
        ns.entries.push_back({"key" + std::to_string(i),
                              std::string(80, static_cast<char>('a' + n)),
                              static_cast<uint64_t>(i + 1), i % 2 == 0 ? 0 : 1893456000000});
      }
    }
    return model.announce();
  }
  // Small chunks: about 8 entries each.
  static std::string file_in_chunks(const Model& model) { return file_of(model, 900); }

  TempDir directory_;
  json report_;
};

// The entries of the chunk frames of `file`, all but those in `without` (numbers of frames).
std::vector<std::vector<ModelEntry>> entries_without(const std::string& file, const Model& model,
                                                     const std::set<size_t>& without) {
  std::vector<std::vector<ModelEntry>> expected(model.namespaces.size());
  const auto frames = frames_of(file);
  size_t ns = static_cast<size_t>(-1);
  size_t entry = 0;
  for (size_t f = 0; f < frames.size(); ++f) {
    if (frames[f].kind == FrameKind::kNamespace) {
      ++ns;
      entry = 0;
    }
    if (frames[f].kind != FrameKind::kChunk) continue;
    // How many entries: by their keys, which stand in the frame.
    const std::string bytes = file.substr(frames[f].offset, frames[f].size);
    while (entry < model.namespaces[ns].entries.size()) {
      const ModelEntry& e = model.namespaces[ns].entries[entry];
      if (bytes.find(e.key) == std::string::npos) break;
      if (without.count(f) == 0) expected[ns].push_back(e);
      ++entry;
    }
  }
  return expected;
}

TEST_F(SalvageTest, AWholeFileComesOutAsItIs) {
  const Model model = chunked_model(3, 4, 8);
  const std::string file = file_in_chunks(model);
  const Model saved = salvage(file);
  EXPECT_EQ(saved, model);
  EXPECT_EQ(report_["complete"], true);
  EXPECT_EQ(report_["frames_lost"], 0);
  EXPECT_EQ(report_["damaged_bytes"], 0);
  EXPECT_EQ(report_["namespaces_lost"], 0);
  EXPECT_EQ(report_["namespaces"][0]["lost_entries"], 0);
}

TEST_F(SalvageTest, OneDamagedChunkCostsItsEntriesAndNoOthers) {
  const Model model = chunked_model(3, 4, 8);
  const std::string file = file_in_chunks(model);
  const auto frames = frames_of(file);
  int chunks = 0;
  for (size_t f = 0; f < frames.size(); ++f) {
    if (frames[f].kind != FrameKind::kChunk) continue;
    ++chunks;
    // In its payload, and in its header: magic, kind, sequence, length, checksum.
    for (const size_t at : {size_t{40}, frames[f].size - 9, size_t{0}, size_t{4}, size_t{8},
                            size_t{16}, size_t{24}}) {
      if (at != 40 && f % 5 != 0) continue;
      SCOPED_TRACE("frame " + std::to_string(f) + ", byte " + std::to_string(at));
      std::string damaged = file;
      damaged[frames[f].offset + at] = static_cast<char>(damaged[frames[f].offset + at] ^ 0x41);
      const Model saved = salvage(damaged);
      const auto expected = entries_without(file, model, {f});
      ASSERT_EQ(saved.namespaces.size(), 3U);
      size_t lost = 0;
      for (size_t n = 0; n < 3; ++n) {
        EXPECT_EQ(saved.namespaces[n].entries, expected[n]);
        EXPECT_EQ(saved.namespaces[n].info.name, model.namespaces[n].info.name);
        EXPECT_EQ(saved.namespaces[n].info.max_keys, model.namespaces[n].info.max_keys);
        EXPECT_EQ(report_["namespaces"][n]["lost_entries"],
                  model.namespaces[n].entries.size() - expected[n].size());
        lost += model.namespaces[n].entries.size() - expected[n].size();
      }
      EXPECT_GT(lost, 0U);
      EXPECT_LT(lost, 20U);
      EXPECT_EQ(report_["complete"], false);
      EXPECT_EQ(report_["frames_lost"], 1);
      EXPECT_EQ(report_["damaged"],
                json::array({{{"offset", frames[f].offset}, {"size", frames[f].size}}}));
      EXPECT_EQ(report_["namespaces"][0]["lost_entries_exact"], true);
    }
  }
  EXPECT_GE(chunks, 9);
}

TEST_F(SalvageTest, ACutFileKeepsEveryWholeFrame) {
  const Model model = chunked_model(2, 4, 8);
  const std::string file = file_in_chunks(model);
  const auto frames = frames_of(file);
  for (size_t f = 1; f < frames.size(); ++f) {
    for (const size_t into : {size_t{0}, size_t{20}, frames[f].size - 1}) {
      SCOPED_TRACE("frame " + std::to_string(f) + ", byte " + std::to_string(into));
      const std::string damaged = file.substr(0, frames[f].offset + into);
      if (f == 1) {
        EXPECT_EQ(run(damaged).exit_code, 2);
        EXPECT_FALSE(std::filesystem::exists(path("good")));
        continue;
      }
      const Model saved = salvage(damaged);
      std::set<size_t> without;
      size_t namespaces = 2;
      for (size_t g = f; g < frames.size(); ++g) {
        without.insert(g);
        if (frames[g].kind == FrameKind::kNamespace) --namespaces;
      }
      const auto expected = entries_without(file, model, without);
      ASSERT_EQ(saved.namespaces.size(), namespaces);
      for (size_t n = 0; n < namespaces; ++n) {
        EXPECT_EQ(saved.namespaces[n].entries, expected[n]);
      }
      EXPECT_EQ(report_["end_found"], false);
      EXPECT_EQ(report_["complete"], false);
      EXPECT_EQ(report_["namespaces_lost"], 2 - namespaces);
    }
  }
}

TEST_F(SalvageTest, ALostNamespaceFrameCostsTheNameAlone) {
  const Model model = chunked_model(3, 2, 8);
  std::string file = file_in_chunks(model);
  const auto frames = frames_of(file);
  size_t seen = 0;
  for (const Frame& frame : frames) {
    if (frame.kind == FrameKind::kNamespace && seen++ == 1) file[frame.offset + 50] ^= 1;
  }
  const Model saved = salvage(file);
  ASSERT_EQ(saved.namespaces.size(), 3U);
  EXPECT_EQ(saved.namespaces[0], model.namespaces[0]);
  EXPECT_EQ(saved.namespaces[1].info.name, "recovered-namespace-1");
  EXPECT_EQ(saved.namespaces[1].entries, model.namespaces[1].entries);
  EXPECT_EQ(saved.namespaces[1].info.max_keys, 0U);
  EXPECT_EQ(saved.namespaces[2], model.namespaces[2]);
  EXPECT_EQ(report_["namespaces"][1]["name_lost"], true);
  EXPECT_EQ(report_["namespaces"][1]["lost_entries"], 0);
}

TEST_F(SalvageTest, ALostHeaderCostsNoEntry) {
  const Model model = chunked_model(2, 2, 8);
  std::string file = file_in_chunks(model);
  file[0] = 'X';
  const Model saved = salvage(file);
  EXPECT_EQ(saved.namespaces, model.namespaces);
  EXPECT_EQ(report_["header_lost"], true);
}

TEST_F(SalvageTest, BytesInFrontAndBehindAreLeftOut) {
  const Model model = chunked_model(2, 2, 8);
  const std::string file = file_in_chunks(model);
  const Model saved = salvage(std::string(64, 'x') + file + std::string(100, 'y'));
  EXPECT_EQ(saved.namespaces, model.namespaces);
  EXPECT_EQ(report_["damaged_bytes"], 164);
}

TEST_F(SalvageTest, ManyWoundsLeaveWhatLiesBetween) {
  const Model model = chunked_model(4, 30, 8);
  const std::string file = file_in_chunks(model);
  const auto frames = frames_of(file);
  std::mt19937_64 random(4);
  for (int round = 0; round < scaled_down(20, 4); ++round) {
    std::string damaged = file;
    std::set<size_t> without;
    for (size_t f = 1; f < frames.size(); ++f) {
      if (frames[f].kind != FrameKind::kChunk || random() % 4 != 0) continue;
      without.insert(f);
      damaged[frames[f].offset + random() % frames[f].size] ^=
          static_cast<char>(1 + random() % 255);
    }
    const Model saved = salvage(damaged);
    const auto expected = entries_without(file, model, without);
    ASSERT_EQ(saved.namespaces.size(), 4U);
    for (size_t n = 0; n < 4; ++n) EXPECT_EQ(saved.namespaces[n].entries, expected[n]) << round;
    EXPECT_EQ(report_["frames_lost"], without.size());
  }
}

TEST_F(SalvageTest, OverwrittenStretchesOfZerosAreSteppedOver) {
  const Model model = chunked_model(3, 20, 8);
  std::string file = file_in_chunks(model);
  const auto frames = frames_of(file);
  std::set<size_t> without;
  const size_t begin = frames[10].offset + 16;
  const size_t end = frames[16].offset + 100;
  for (size_t f = 10; f <= 16; ++f) without.insert(f);
  const auto expected = entries_without(file, model, without);
  file.replace(begin, end - begin, end - begin, '\0');
  const Model saved = salvage(file);
  for (size_t n = 0; n < 3; ++n) EXPECT_EQ(saved.namespaces[n].entries, expected[n]);
  EXPECT_EQ(report_["frames_lost"], 7);
}

TEST_F(SalvageTest, ASnapshotInsideOfAValueIsNotTakenForThisOne) {
  // Frames of the inner file are aligned like our own for some length of the key.
  Model inner;
  inner.add("inner").entries = {{"planted", std::string(500, 'i'), 0, 0}};
  for (int i = 0; i < 50; ++i)
    inner.namespaces[0].entries.push_back({"p" + std::to_string(i), "", 0, 0});
  const std::string inner_file = file_of(inner.announce(), 300);
  int aligned = 0;
  for (size_t shift = 0; shift < 8; ++shift) {
    for (const size_t damaged_byte : {size_t{0}, size_t{8}, size_t{16}, size_t{40}}) {
      Model outer;
      ModelNamespace& ns = outer.add("outer");
      ns.entries = {{"before", std::string(2000, 'b'), 0, 0},
                    {std::string("carrier") + std::string(shift, 'c'),
                     std::string(shift, 'x') + inner_file, 0, 0},
                    {"after", std::string(2000, 'a'), 0, 0}};
      std::string file = file_of(outer.announce(), 1000);
      const auto frames = frames_of(file);
      ASSERT_EQ(frames.size(), 6U);
      aligned += file.find(inner_file) % 8 == 0 ? 1 : 0;
      file[frames[3].offset + damaged_byte] ^= 0x11;
      const Model saved = salvage(file);
      ASSERT_EQ(saved.namespaces.size(), 1U);
      EXPECT_EQ(saved.namespaces[0].entries,
                (std::vector<ModelEntry>{ns.entries[0], ns.entries[2]}))
          << shift << " " << damaged_byte;
    }
  }
  EXPECT_GT(aligned, 0);
}

TEST_F(SalvageTest, FramesInsideOfADamagedFrameAreNotTaken) {
  // The end of another snapshot: its frames have right checksums and no header to tell them by,
  // numbers that could follow ours, and chunks of a namespace with our index.
  const std::string inner_file = file_in_chunks(chunked_model(1, 20, 8));
  const std::string planted = inner_file.substr(frames_of(inner_file)[12].offset);
  int aligned = 0;
  for (size_t shift = 0; shift < 8; ++shift) {
    Model outer;
    ModelNamespace& ns = outer.add("outer");
    ns.entries = {{"before", std::string(2000, 'b'), 0, 0},
                  {"carrier", std::string(1000 + shift, 'x') + planted, 0, 0},
                  {"after", std::string(2000, 'a'), 0, 0}};
    std::string file = file_of(outer.announce(), 1000);
    const auto frames = frames_of(file);
    ASSERT_EQ(frames.size(), 6U);
    aligned += file.find(planted) % 8 == 0 ? 1 : 0;
    file[frames[3].offset + 200] ^= 0x11;
    const Model saved = salvage(file);
    ASSERT_EQ(saved.namespaces.size(), 1U);
    EXPECT_EQ(saved.namespaces[0].entries, (std::vector<ModelEntry>{ns.entries[0], ns.entries[2]}));
  }
  EXPECT_EQ(aligned, 1);
}

TEST_F(SalvageTest, ANamespaceBetweenTwoLossesGetsItsChunksWhereThatIsCertain) {
  const Model model = chunked_model(3, 2, 4);
  const std::string file = file_of(model, 700);
  const auto frames = frames_of(file);
  const auto numbers = [&](FrameKind kind) {
    std::vector<size_t> found;
    for (size_t f = 0; f < frames.size(); ++f) {
      if (frames[f].kind == kind) found.push_back(f);
    }
    return found;
  };
  const auto ns = numbers(FrameKind::kNamespace);
  const auto damaged_at = [&](const std::set<size_t>& without) {
    std::string damaged = file;
    for (const size_t f : without) damaged[frames[f].offset + 50] ^= 1;
    return damaged;
  };

  // Lost: what stands on both sides of the second namespace's frame. No other fits in between.
  std::set<size_t> without = {ns[1] - 1, ns[1] + 1};
  ASSERT_GT(ns[2] - ns[1], 2U);
  Model saved = salvage(damaged_at(without));
  auto expected = entries_without(file, model, without);
  ASSERT_EQ(saved.namespaces.size(), 3U);
  for (size_t n = 0; n < 3; ++n) {
    EXPECT_EQ(saved.namespaces[n].info.name, model.namespaces[n].info.name);
    EXPECT_EQ(saved.namespaces[n].entries, expected[n]);
  }

  // Lost too: its other chunks, and the third namespace's frame. The chunks behind say "third".
  for (size_t f = ns[1] + 1; f <= ns[2]; ++f) without.insert(f);
  saved = salvage(damaged_at(without));
  expected = entries_without(file, model, without);
  ASSERT_EQ(saved.namespaces.size(), 3U);
  EXPECT_EQ(saved.namespaces[1].info.name, "ns1");
  EXPECT_TRUE(saved.namespaces[1].entries.empty());
  EXPECT_EQ(saved.namespaces[2].info.name, "recovered-namespace-2");
  EXPECT_EQ(saved.namespaces[2].entries, model.namespaces[2].entries);
}

TEST_F(SalvageTest, OfAKeyThatStandsTwiceTheHighestVersionStays) {
  Model model;
  ModelNamespace& ns = model.add("n");
  ns.entries = {
      {"a", "new", 5, 0}, {"b", "first", 2, 0}, {"a", "old", 4, 0}, {"b", "second", 2, 0}};
  const Model saved = salvage(file_of(model.announce()));
  ASSERT_EQ(saved.namespaces.size(), 1U);
  EXPECT_EQ(saved.namespaces[0].entries,
            (std::vector<ModelEntry>{{"a", "new", 5, 0}, {"b", "second", 2, 0}}));
  EXPECT_EQ(report_["namespaces"][0]["duplicates_dropped"], 2);
  EXPECT_EQ(report_["namespaces"][0]["lost_entries"], 0);
}

TEST_F(SalvageTest, ForgedFramesAreRefusedNotFollowed) {
  // Right checksums around wrong contents: every byte of a chunk's payload, one after the other.
  const Model model = chunked_model(1, 2, 2);
  const std::string file = file_in_chunks(model);
  const auto frames = frames_of(file);
  ASSERT_EQ(frames[2].kind, FrameKind::kChunk);
  const size_t step = is_instrumented() ? 23 : 5;
  for (size_t at = 32; at < frames[2].size; at += step) {
    std::string forged = file;
    forged[frames[2].offset + at] ^= static_cast<char>(0xff);
    fix_checksum(forged, frames[2]);
    const ToolResult result = run(forged);
    EXPECT_EQ(result.exit_code, 0) << at << result.err;
    EXPECT_EQ(run_tool({"verify", path("good")}).exit_code, 0) << at;
  }
}

TEST_F(SalvageTest, WhatIsNoSnapshotIsTwoAndWritesNothing) {
  for (const std::string& bytes :
       {std::string(), std::string("x"), std::string(10000, 'x'), std::string("RKVS")}) {
    const ToolResult result = run(bytes);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_FALSE(std::filesystem::exists(path("good")));
  }
}

TEST_F(SalvageTest, EndsSoonOnAFileFullOfFalseFrames) {
  // Every 32 bytes a header that promises a large payload: trying them all would read gigabytes.
  std::string file(2 << 20, '\0');
  for (size_t offset = 0; offset + 40 < file.size(); offset += 32) {
    FrameHeader header;
    header.kind = FrameKind::kChunk;
    header.sequence = static_cast<uint32_t>(offset / 4096);
    header.payload_length = (file.size() - offset - 32) / 8 * 8;
    std::memcpy(file.data() + offset, &header, sizeof header);
  }
  const ToolResult result = run(file);
  EXPECT_EQ(result.exit_code, 2) << result.err;
}

TEST_F(SalvageTest, TextReportSaysWhatIsLost) {
  const Model model = chunked_model(2, 3, 8);
  std::string file = file_in_chunks(model);
  file[frames_of(file)[3].offset + 50] ^= 1;
  write_file(path("bad"), file);
  const ToolResult result = run_tool({"salvage", path("bad"), "--to", path("good")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("2 namespaces, "), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("lost:\n  1 frame\n"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("namespace \"ns1\": 24 entries saved, 0 lost"), std::string::npos)
      << result.out;
  EXPECT_EQ(read_file(path("bad")), file);
}

TEST_F(SalvageTest, TextReportOfAWholeFileSaysSo) {
  write_file(path("bad"), file_in_chunks(chunked_model(1, 1, 1)));
  const ToolResult result = run_tool({"salvage", path("bad"), "--to", path("good")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("1 namespace, 1 entry saved from "), std::string::npos) << result.out;
  EXPECT_NE(result.out.find(", which is whole\n"), std::string::npos) << result.out;
  EXPECT_EQ(result.out.find("lost:"), std::string::npos) << result.out;
}

TEST_F(SalvageTest, TextReportNamesEveryKindOfLoss) {
  Model model = chunked_model(3, 4, 8);
  model.namespaces[2].entries.push_back({"key0", "newer", 1000, 0});
  std::string file = file_in_chunks(model.announce());
  const auto frames = frames_of(file);
  std::vector<size_t> ns;
  for (size_t f = 0; f < frames.size(); ++f) {
    if (frames[f].kind == FrameKind::kNamespace) ns.push_back(f);
  }
  ASSERT_EQ(ns.size(), 3U);
  file[frames[0].offset + 50] ^= 1;
  file[frames[ns[1]].offset + 50] ^= 1;
  file.resize(frames.back().offset);
  write_file(path("bad"), file);
  const ToolResult result = run_tool({"salvage", path("bad"), "--to", path("good")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* part :
       {"lost:\n  2 frames\n", "  the end of the file, with whatever it held\n",
        "  the header, with the store's limits\n", "; its name and limits are lost\n",
        "; 1 older entry of keys that came twice dropped\n", " bytes at offset 0\n"}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << part << result.out;
  }
}

TEST_F(SalvageTest, TextReportOfManyWoundsShowsTheFirstAndCountsTheRest) {
  std::string file = file_in_chunks(chunked_model(1, 60, 8));
  const auto frames = frames_of(file);
  size_t wounds = 0;
  for (size_t f = 3; f + 2 < frames.size() && wounds < 25; f += 2, ++wounds) {
    file[frames[f].offset + 50] ^= 1;
  }
  ASSERT_EQ(wounds, 25U);
  write_file(path("bad"), file);
  const ToolResult result = run_tool({"salvage", path("bad"), "--to", path("good")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("  5 more stretches\n"), std::string::npos) << result.out;
}

TEST_F(SalvageTest, ForgedFramesOfEveryKindAreRefusedOrTakenAsTheyAre) {
  // As above, of the frames that are not chunks: what cannot be read is lost, and what can be read
  // makes a whole snapshot.
  const Model model = chunked_model(2, 2, 2);
  const std::string file = file_in_chunks(model);
  const auto frames = frames_of(file);
  const size_t step = is_instrumented() ? 17 : 5;
  size_t saved = 0;
  for (const Frame& frame : {frames[0], frames[1], frames.back()}) {
    ASSERT_NE(frame.kind, FrameKind::kChunk);
    for (size_t at = 32; at < frame.size; at += step) {
      std::string forged = file;
      forged[frame.offset + at] ^= static_cast<char>(0xff);
      fix_checksum(forged, frame);
      const ToolResult result = run(forged);
      // A version of the format that this one does not know is the end.
      EXPECT_TRUE(result.exit_code == 0 || result.exit_code == 2) << at << result.err;
      if (result.exit_code != 0) continue;
      ++saved;
      EXPECT_EQ(run_tool({"verify", path("good")}).exit_code, 0) << at;
    }
  }
  EXPECT_GT(saved, 10U);
}

}  // namespace
}  // namespace rkvs::testing
