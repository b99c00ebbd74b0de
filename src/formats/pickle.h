// SPDX-License-Identifier: Apache-2.0
// Python's pickle as data: a restricted reader that builds inert values and never calls, imports or looks up anything.
//
// A pickle is a program that builds objects. Two of its instructions run somebody's code in Python; what becomes of them
// here is one rule:
//   - REDUCE calls a function. Only those that plainly build data are let through (see kDataCallables: containers, NumPy
//     and torch values, dates, paths); every other call is refused by name, because in Python it would run.
//   - NEWOBJ and BUILD make an instance of a class and set its state. Any class may be there, as argparse.Namespace or a
//     configuration object beside the weights; it becomes an opaque value without contents.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace gcvit::formats {

class PickleValue {
 public:
  enum class Kind : std::uint8_t {
    kOther,  ///< None, a float, a set, an integer beyond 64 bits: nothing that a weight file is read for
    kBool,  ///< integer()
    kInteger,  ///< integer()
    kText,  ///< text(), UTF-8 as the file has it
    kBytes,  ///< text()
    kTuple,  ///< items()
    kList,  ///< items()
    kDict,  ///< items(): key, value, key, value, ...; a key that comes twice stands twice
    kGlobal,  ///< name(): a class or function that the file mentions
    /// items(): the global and its tuple of arguments. Of torch's calls that only pass a tensor on (_rebuild_parameter,
    /// _rebuild_from_type_v2) it is the one inside that makes it.
    kCall,
    kObject,  ///< items(): the global of its class
    kPersistent,  ///< items(): what identifies an object stored outside of the pickle
  };
  using Items = std::vector<const PickleValue*>;

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  std::int64_t integer() const { return std::get<std::int64_t>(content_); }
  std::string_view text() const { return std::get<std::string_view>(content_); }
  const Items& items() const { return std::get<Items>(content_); }
  /// A global's module and its name in it.
  std::string_view module() const { return {global().module, global().module_size}; }
  std::string_view name() const { return {global().name, global().name_size}; }
  /// "module.name" of a global, for a sentence: a name may have megabytes, so it is not for comparing.
  std::string full_name() const;
  /// For an error sentence: "a dict", "torch.FloatStorage", ...
  std::string description() const;

 private:
  friend class Unpickler;
  struct Global {
    const char* module;
    const char* name;
    std::uint32_t module_size;
    std::uint32_t name_size;
  };

  const Global& global() const { return std::get<Global>(content_); }

  Kind kind_ = Kind::kOther;
  std::variant<std::monostate, std::int64_t, std::string_view, Items, Global> content_;
};

/// The values of one pickle. They view its text and each other, possibly in circles.
struct Pickle {
  std::deque<PickleValue> values;
  const PickleValue* root = nullptr;
  std::size_t end = 0;  ///< in the text, behind STOP
  std::size_t instructions = 0;  ///< that it had
};

/// So many instructions the pickles of a file may have, about five times what a training state of the largest model needs. It bounds
/// the memory of all values to some 50 MB.
inline constexpr std::size_t kMaximalPickleInstructions = std::size_t{1} << 19;

/// Reads the pickle that begins at `begin`; protocols 1 to 5, the instructions that Python's pickler emits for data.
/// Every instruction takes time for its own bytes alone: what calls lead to is worked out once, when they are made (see
/// kCall). Throws `Error` naming file and byte when it is cut short, uses another instruction, calls what is not data, or
/// has more than `instructions` of them.
Pickle read_pickle(std::string_view text, std::size_t begin, const std::string& file,
                   std::size_t instructions = kMaximalPickleInstructions);

}  // namespace gcvit::formats
