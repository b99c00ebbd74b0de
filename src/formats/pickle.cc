// SPDX-License-Identifier: Apache-2.0
#include "formats/pickle.h"

#include <system_error>
#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/counted.h"
#include "base/error.h"
#include "formats/in_quotes.h"

namespace gcvit::formats {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are read as they lie in the file");

using Kind = PickleValue::Kind;

/// What REDUCE may call: constructors of data. `*` stands for the rest of a name.
constexpr std::pair<std::string_view, std::string_view> kDataCallables[] = {
    {"collections", "OrderedDict"},
    {"collections", "defaultdict"},
    {"collections", "Counter"},
    {"collections", "deque"},
    {"builtins", "bytearray"},
    {"builtins", "complex"},
    {"builtins", "frozenset"},
    {"builtins", "range"},
    {"builtins", "xrange"},
    {"builtins", "set"},
    {"builtins", "slice"},
    {"_codecs", "encode"},          // how protocol 2 spells bytes
    {"copyreg", "_reconstructor"},  // how protocol 1 spells NEWOBJ
    {"datetime", "date"},
    {"datetime", "datetime"},
    {"datetime", "time"},
    {"datetime", "timedelta"},
    {"datetime", "timezone"},
    {"decimal", "Decimal"},
    {"fractions", "Fraction"},
    {"pathlib", "*Path"},
    {"pathlib._local", "*Path"},
    {"numpy", "dtype"},
    {"numpy", "ndarray"},
    {"numpy.core.multiarray", "_reconstruct"},
    {"numpy.core.multiarray", "scalar"},
    {"numpy.core.numeric", "_frombuffer"},
    {"numpy.random._pickle", "__randomstate_ctor"},
    {"numpy.random._pickle", "__generator_ctor"},
    {"numpy.random._pickle", "__bit_generator_ctor"},
    {"numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"},
    {"torch", "Size"},
    {"torch", "device"},
    {"torch.serialization", "_get_layout"},
    {"torch._tensor", "_rebuild_from_type_v2"},
    {"torch._utils", "_rebuild_*"},
};

/// Modules that had another name in Python 2 and NumPy 2.
std::string_view current_module(std::string_view module) {
  if (module == "__builtin__") return "builtins";
  if (module == "copy_reg") return "copyreg";
  if (module == "numpy._core.multiarray") return "numpy.core.multiarray";
  if (module == "numpy._core.numeric") return "numpy.core.numeric";
  return module;
}

bool matches(std::string_view pattern, std::string_view name) {
  if (pattern.starts_with('*')) return name.ends_with(pattern.substr(1));
  if (pattern.ends_with('*')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return name == pattern;
}

bool builds_data(std::string_view module, std::string_view name) {
  return std::ranges::any_of(kDataCallables, [&](const auto& callable) {
    return callable.first == current_module(module) && matches(callable.second, name);
  });
}

}  // namespace

std::string PickleValue::full_name() const {
  std::string full(module());
  full += '.';
  return full += name();
}

std::string PickleValue::description() const {
  switch (kind_) {
    case Kind::kOther: return "some other value";
    case Kind::kBool: return "a bool";
    case Kind::kInteger: return "an integer";
    case Kind::kText: return "a text";
    case Kind::kBytes: return "bytes";
    case Kind::kTuple: return "a tuple";
    case Kind::kList: return "a list";
    case Kind::kDict: return "a dict";
    case Kind::kGlobal: return in_quotes(full_name());
    case Kind::kCall: return "the result of " + in_quotes(items().front()->full_name());
    case Kind::kObject: return "an object of " + in_quotes(items().front()->full_name());
    case Kind::kPersistent: return "a storage";
  }
  return "";
}

/// Runs one pickle on a stack of pointers to values, which live until the end: nothing is copied, nothing recurses, and
/// an instruction makes at most one value of bounded size.
class Unpickler {
 public:
  Unpickler(std::string_view text, std::size_t begin, const std::string& file, std::size_t instructions)
      : text_(text), place_(begin), file_(file), most_instructions_(instructions) {}

  Pickle run() {
    for (;; ++pickle_.instructions) {
      instruction_ = place_;
      if (pickle_.instructions == most_instructions_) {
        broken("more than {} instructions in the file's pickles", kMaximalPickleInstructions);
      }
      const char code = take(1).front();
      if (code == '.') break;
      execute(code);
    }
    pickle_.root = pop();
    pickle_.end = place_;
    return std::move(pickle_);
  }

 private:
  using Ref = const PickleValue*;
  using Items = PickleValue::Items;

  template <typename... Args>
  [[noreturn]] void broken(fmt::format_string<Args...> what, Args&&... args) const {
    fail("[pickle] {}: byte {}: {}", file_, instruction_, fmt::format(what, std::forward<Args>(args)...));
  }

  void execute(char code) {
    switch (code) {
      // Protocol 4's frames only cut the text; nothing depends on them.
      case '\x80': check_protocol(); break;
      case '\x95': (void)take(8); break;

      case 'N': push(Kind::kOther, std::monostate{}); break;
      case '\x88': push(Kind::kBool, std::int64_t{1}); break;
      case '\x89': push(Kind::kBool, std::int64_t{0}); break;
      case 'J': push(Kind::kInteger, std::int64_t{number<std::int32_t>()}); break;
      case 'K': push(Kind::kInteger, std::int64_t{number<std::uint8_t>()}); break;
      case 'M': push(Kind::kInteger, std::int64_t{number<std::uint16_t>()}); break;
      case 'I': push_decimal(line(), true); break;
      case 'L': push_decimal(line(), false); break;
      case '\x8a': push_long(take(number<std::uint8_t>())); break;
      case '\x8b': push_long(take_counted<std::int32_t>()); break;
      case 'G': (void)take(8), push(Kind::kOther, std::monostate{}); break;

      case 'X': push(Kind::kText, take_counted<std::uint32_t>()); break;
      case '\x8c': push(Kind::kText, take_counted<std::uint8_t>()); break;
      case '\x8d': push(Kind::kText, take_counted<std::uint64_t>()); break;
      case 'T': push(Kind::kText, take_counted<std::int32_t>()); break;  // Python 2's str
      case 'U': push(Kind::kText, take_counted<std::uint8_t>()); break;
      case 'B': push(Kind::kBytes, take_counted<std::uint32_t>()); break;
      case 'C': push(Kind::kBytes, take_counted<std::uint8_t>()); break;
      case '\x8e': push(Kind::kBytes, take_counted<std::uint64_t>()); break;
      case '\x96': push(Kind::kBytes, take_counted<std::uint64_t>()); break;

      case '(': marks_.push_back(stack_.size()); break;
      case '0': (void)pop(); break;
      case '1': (void)pop_to_mark(); break;
      case ')': push(Kind::kTuple, Items{}); break;
      case '\x85': push(Kind::kTuple, pop_items(1)); break;
      case '\x86': push(Kind::kTuple, pop_items(2)); break;
      case '\x87': push(Kind::kTuple, pop_items(3)); break;
      case 't': push(Kind::kTuple, pop_to_mark()); break;
      case ']': push(Kind::kList, Items{}); break;
      case 'l': push(Kind::kList, pop_to_mark()); break;
      case '}': push(Kind::kDict, Items{}); break;
      case 'd': push(Kind::kDict, pairs(pop_to_mark())); break;
      case 'a': extend(Kind::kList, pop_items(1)); break;
      case 'e': extend(Kind::kList, pop_to_mark()); break;
      case 's': extend(Kind::kDict, pop_items(2)); break;
      case 'u': extend(Kind::kDict, pairs(pop_to_mark())); break;
      case '\x8f': push(Kind::kOther, std::monostate{}); break;  // an empty set
      case '\x90': (void)pop_to_mark(); break;  // more members of it
      case '\x91': (void)pop_to_mark(), push(Kind::kOther, std::monostate{}); break;  // a frozen set

      case 'c': push_global(); break;
      case '\x93': push_stack_global(); break;
      case 'R': reduce(); break;
      case '\x81': (void)pop(), push_object(pop()); break;
      case '\x92': (void)pop_items(2), push_object(pop()); break;
      case 'b': (void)pop(), (void)top(); break;  // BUILD: the state of an object is not looked at
      case 'Q': push(Kind::kPersistent, pop_items(1)); break;

      case 'q': memo_[number<std::uint8_t>()] = top(); break;
      case 'r': memo_[number<std::uint32_t>()] = top(); break;
      case '\x94': memo_.emplace(static_cast<std::uint32_t>(memo_.size()), nullptr).first->second = top(); break;
      case 'h': push_memo(number<std::uint8_t>()); break;
      case 'j': push_memo(number<std::uint32_t>()); break;

      default:
        broken("expected an instruction that builds data, found {} ({:#04x})", in_quotes({&code, 1}),
               static_cast<unsigned char>(code));
    }
  }

  // Reading the text.

  std::string_view take(std::uint64_t count) {
    if (count > text_.size() - place_) {
      broken("expected {} at byte {}, file ends at {}", counted(count, "byte"), place_, text_.size());
    }
    const std::string_view taken = text_.substr(place_, static_cast<std::size_t>(count));
    place_ += taken.size();
    return taken;
  }

  template <typename Number>
  Number number() {
    Number number;
    std::memcpy(&number, take(sizeof(Number)).data(), sizeof(Number));
    return number;
  }

  template <typename Length>
  std::string_view take_counted() {
    const auto length = number<Length>();
    if (std::cmp_less(length, 0)) broken("expected a length, found {}", length);
    return take(static_cast<std::uint64_t>(length));
  }

  std::string_view line() {
    const std::size_t end = text_.find('\n', place_);
    if (end == std::string_view::npos) broken("expected the end of a line, file ends at {}", text_.size());
    const std::string_view line = take(end - place_);
    (void)take(1);
    return line;
  }

  void check_protocol() {
    const auto protocol = number<std::uint8_t>();
    if (protocol > 5) broken("expected protocol 1 to 5, found {}", protocol);
  }

  // The stack. Nothing below the last mark may be taken before the mark is.

  template <typename Content>
  PickleValue* push(Kind kind, Content content) {
    PickleValue& value = pickle_.values.emplace_back();
    value.kind_ = kind;
    value.content_ = std::move(content);
    stack_.push_back(&value);
    return &value;
  }

  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  PickleValue* top() const {
    if (stack_.size() <= floor()) broken("expected a value on the stack, found none");
    return stack_.back();
  }

  PickleValue* pop() {
    PickleValue* const value = top();
    stack_.pop_back();
    return value;
  }

  Items pop_items(std::size_t count) {
    if (stack_.size() - floor() < count) broken("expected {} values on the stack, found fewer", count);
    const auto first = stack_.end() - static_cast<std::ptrdiff_t>(count);
    Items items(first, stack_.end());
    stack_.erase(first, stack_.end());
    return items;
  }

  Items pop_to_mark() {
    if (marks_.empty()) broken("expected a mark on the stack, found none");
    Items items = pop_items(stack_.size() - marks_.back());
    marks_.pop_back();
    return items;
  }

  Items pairs(Items items) const {
    if (items.size() % 2 != 0) broken("expected keys with values, found {} of both", items.size());
    return items;
  }

  /// Adds to the list or dict on the stack. Other targets are instances of classes that behave like one: opaque.
  void extend(Kind kind, const Items& items) {
    PickleValue* const target = top();
    if (!target->is(kind)) return;
    Items& all = std::get<Items>(target->content_);
    all.insert(all.end(), items.begin(), items.end());
  }

  void push_memo(std::uint32_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) broken("expected a value under number {}, found none", index);
    stack_.push_back(found->second);
  }

  // Numbers as text or of any length.

  void push_decimal(std::string_view text, bool or_bool) {
    if (or_bool && (text == "00" || text == "01")) {
      push(Kind::kBool, std::int64_t{text == "01"});
      return;
    }
    if (!or_bool && text.ends_with('L')) text.remove_suffix(1);
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (end != text.data() + text.size() || text.empty()) broken("expected an integer, found {}", in_quotes(text));
    if (error == std::errc{}) {
      push(Kind::kInteger, value);
    } else {
      push(Kind::kOther, std::monostate{});
    }
  }

  /// Two's complement of so many bytes.
  void push_long(std::string_view bytes) {
    if (bytes.size() > sizeof(std::int64_t)) {
      push(Kind::kOther, std::monostate{});
      return;
    }
    std::uint64_t value = !bytes.empty() && static_cast<signed char>(bytes.back()) < 0 ? ~std::uint64_t{0} : 0;
    std::memcpy(&value, bytes.data(), bytes.size());
    push(Kind::kInteger, static_cast<std::int64_t>(value));
  }

  // Globals, and what is made of them.

  void push_global(std::string_view module, std::string_view name) {
    if (module.size() > UINT32_MAX || name.size() > UINT32_MAX) broken("expected a name, found gigabytes");
    push(Kind::kGlobal, PickleValue::Global{module.data(), name.data(), static_cast<std::uint32_t>(module.size()),
                                            static_cast<std::uint32_t>(name.size())});
  }

  void push_global() {
    const std::string_view module = line();
    push_global(module, line());
  }

  void push_stack_global() {
    const PickleValue* const name = pop();
    const PickleValue* const module = pop();
    if (!name->is(Kind::kText) || !module->is(Kind::kText)) {
      broken("expected texts as a global's module and name, found {} and {}", module->description(),
             name->description());
    }
    push_global(module->text(), name->text());
  }

  /// What is called, with which arguments.
  struct Call {
    const PickleValue* callable;
    const PickleValue* arguments;
  };

  void check_call(const Call& call) const {
    const PickleValue& callable = *call.callable;
    if (!callable.is(Kind::kGlobal)) broken("expected a call of a global, found one of {}", callable.description());
    if (!call.arguments->is(Kind::kTuple)) {
      broken("expected a tuple of arguments, found {}", call.arguments->description());
    }
    if (!builds_data(callable.module(), callable.name())) {
      broken("expected plain data, found a call of {}, which would run code in Python",
             in_quotes(callable.full_name()));
    }
  }

  /// A tensor with attributes, _rebuild_from_type_v2(function, type, arguments, attributes), calls the function in turn.
  /// Tuples are older than what they are in, so this ends; what a tuple leads to is kept, so no chain of them is followed
  /// twice.
  Call innermost(Call call) {
    for (;;) {
      check_call(call);
      const Items& arguments = call.arguments->items();
      if (call.callable->name() != "_rebuild_from_type_v2" || arguments.size() < 3) break;
      if (const auto known = innermost_.find(call.arguments); known != innermost_.end()) {
        call = known->second;
        break;
      }
      passed_.push_back(call.arguments);
      call = {arguments[0], arguments[2]};
    }
    for (const PickleValue* passed : passed_) innermost_.emplace(passed, call);
    passed_.clear();
    return call;
  }

  void reduce() {
    const PickleValue* const arguments = pop();
    const Call call = innermost({pop(), arguments});
    const std::string_view module = call.callable->module();
    const std::string_view name = call.callable->name();
    if (module == "collections" && (name == "OrderedDict" || name == "defaultdict")) {
      push(Kind::kDict, Items{});
      return;
    }
    const Items& given = call.arguments->items();
    const bool parameter = name == "_rebuild_parameter" || name == "_rebuild_parameter_with_state";
    if (parameter && !given.empty() && given[0]->is(Kind::kCall)) {  // the tensor in it, whose call is known already
      push(Kind::kCall, Items(given[0]->items()));
    } else {
      push(Kind::kCall, Items{call.callable, call.arguments});
    }
  }

  void push_object(const PickleValue* type) {
    if (!type->is(Kind::kGlobal)) broken("expected an object of a class, found one of {}", type->description());
    push(Kind::kObject, Items{type});
  }

  std::string_view text_;
  std::size_t place_;
  std::size_t instruction_ = 0;
  const std::string& file_;
  std::size_t most_instructions_;
  Pickle pickle_;
  std::vector<PickleValue*> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint32_t, PickleValue*> memo_;
  std::unordered_map<const PickleValue*, Call> innermost_;  ///< by the arguments of _rebuild_from_type_v2
  std::vector<const PickleValue*> passed_;
};

Pickle read_pickle(std::string_view text, std::size_t begin, const std::string& file, std::size_t instructions) {
  return Unpickler(text, begin, file, instructions).run();
}

}  // namespace gcvit::formats
