// SPDX-License-Identifier: Apache-2.0
#include "formats/choose_dict.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <iterator>
#include <unordered_set>

#include "base/error.h"
#include "formats/in_quotes.h"
#include "formats/key_words.h"

namespace gcvit::formats {
namespace {

using Kind = PickleValue::Kind;
using Items = PickleValue::Items;

/// Keys that training scripts put a state dict under, in the order in which they are looked for.
constexpr std::string_view kWrappers[] = {"state_dict", "model", "model_state_dict", "state_dict_ema", "model_ema"};
constexpr std::size_t kDeepestWrapper = 3;
constexpr std::size_t kMostDicts = 64;  // with tensors but no model are kept; as many more with models
constexpr std::size_t kKeysShown = 6;

/// A dict of tensors, wherever it stands.
struct Candidate {
  const PickleValue* dict;
  std::string place;
  bool known;     ///< the keys that lead to it are all of kWrappers
  bool averaged;  ///< one of them says so
  std::vector<WrappedModel> models;

  bool has(bool wanted) const {
    if (models.empty()) return averaged == wanted;
    return std::ranges::any_of(models,
                               [&](const WrappedModel& model) { return (averaged || model.averaged) == wanted; });
  }
};

/// torch-ema keeps averages in the order of the model's parameters alone.
bool is_list_of_averages(std::string_view key, const PickleValue& value) {
  if (!value.is(Kind::kList) && !value.is(Kind::kTuple)) return false;
  if (value.items().empty() || tensor_call(value.items().front()) == nullptr) return false;
  return key == "shadow_params" || names_an_average(key);
}

/// Looks through all dicts that lie at most kDeepestWrapper deep, each once however often the file mentions it: those under
/// known wrappers first, then others, then the dict itself.
class Search {
 public:
  Search(const PickleValue& root, const ReadOptions& options) : options_(options) { visit(root, true, false); }

  std::vector<Candidate> models;  ///< dicts with models
  std::vector<Candidate> tensors;  ///< dicts with other tensors
  std::string nameless;  ///< the first list of averaged tensors

 private:
  /// A dict under a key of another.
  struct Child {
    const PickleValue* key = nullptr;
    const PickleValue* dict = nullptr;
  };

  void visit(const PickleValue& dict, bool known, bool averaged) {
    if (models.size() == kMostModels || !seen_.insert(&dict).second) return;
    std::vector<std::string_view> names;
    std::unordered_set<const PickleValue*> keys;
    std::array<Child, std::size(kWrappers)> wrapped{};
    std::vector<Child> others;
    int lightning = 0;  // its WeightAveraging saves the averages as state_dict, and the raw weights beside it
    const Items& items = dict.items();
    for (std::size_t i = 0; i < items.size(); i += 2) {
      if (!items[i]->is(Kind::kText)) continue;
      const std::string_view key = items[i]->text();
      // A key may have megabytes and come many times; a file with more tensors than that is refused when they are read.
      if (names.size() <= kMostTensors && tensor_call(items[i + 1]) != nullptr && keys.insert(items[i]).second) {
        names.push_back(key);
      }
      if (nameless.empty() && is_list_of_averages(key, *items[i + 1])) {
        path_.push_back(items[i]);
        nameless = place();
        path_.pop_back();
      }
      if (!items[i + 1]->is(Kind::kDict) || names_an_optimizer(key)) continue;
      if (key == "averaging_state" || key == "current_model_state") ++lightning;
      const auto* const wrapper = std::ranges::find(kWrappers, key);
      if (wrapper == std::end(kWrappers)) {
        others.push_back({items[i], items[i + 1]});
      } else {
        // The last value under a key is the one that Python keeps.
        wrapped[static_cast<std::size_t>(wrapper - kWrappers)] = {items[i], items[i + 1]};
      }
    }
    if (path_.size() < kDeepestWrapper) {
      for (const Child& child : wrapped) {
        if (child.dict == nullptr) continue;
        go_down(child, known, averaged || (lightning == 2 && child.key->text() == kWrappers[0]));
      }
      for (const Child& child : others) go_down(child, false, averaged);
    }
    if (names.empty()) return;
    std::vector<WrappedModel> found = options_.find_models ? options_.find_models(names) : std::vector<WrappedModel>();
    std::vector<Candidate>& kept = found.empty() ? tensors : models;
    if (kept.size() < (found.empty() ? kMostDicts : kMostModels)) {
      kept.push_back({&dict, place(), known, averaged, std::move(found)});
    }
  }

  void go_down(const Child& child, bool known, bool averaged) {
    path_.push_back(child.key);
    visit(*child.dict, known, averaged || names_an_average(child.key->text()));
    path_.pop_back();
  }

  std::string place() const {
    std::string place;
    for (const PickleValue* key : path_) place += (place.empty() ? "" : " > ") + in_quotes(key->text());
    return place;
  }

  const ReadOptions& options_;
  std::unordered_set<const PickleValue*> seen_;
  std::vector<const PickleValue*> path_;
};

[[noreturn]] void fail_without_tensors(const PickleValue& root, const std::string& file) {
  std::string keys;
  const Items& items = root.items();
  for (std::size_t i = 0; i < std::min(items.size(), 2 * kKeysShown); i += 2) {
    if (i > 0) keys += ", ";
    keys += (items[i]->is(Kind::kText) ? in_quotes(items[i]->text()) : items[i]->description()) + ": " +
            items[i + 1]->description();
  }
  fail("[torch] {}: expected a dict of tensors, or one under {}; found {}", file,
       fmt::format("\"{}\"", fmt::join(kWrappers, "\", \"")),
       keys.empty() ? "an empty dict" : keys + (items.size() > 2 * kKeysShown ? ", ..." : ""));
}

/// What a candidate is called among others.
std::string name_of(const Candidate& candidate) {
  return candidate.place.empty() ? "the saved dict itself" : candidate.place;
}

/// Of the wanted kind the first under known wrappers; else the only one, raw weights before averages.
const Candidate* choose(const std::vector<Candidate>& candidates, std::optional<bool> averaged,
                        const std::string& file) {
  std::vector<const Candidate*> wanted;
  for (const Candidate& one : candidates) {
    if (!averaged || one.has(*averaged)) wanted.push_back(&one);
  }
  if (wanted.empty()) return averaged ? choose(candidates, std::nullopt, file) : nullptr;
  const auto known = std::ranges::find_if(wanted, [](const Candidate* one) { return one->known; });
  if (known != wanted.end()) return *known;
  const auto is_raw = [](const Candidate* one) { return one->has(false); };
  if (!averaged && std::ranges::any_of(wanted, is_raw)) std::erase_if(wanted, std::not_fn(is_raw));
  if (wanted.size() == 1) return wanted.front();
  if (wanted.front()->models.empty()) return nullptr;
  std::vector<std::string> places;
  for (const Candidate* one : wanted) places.push_back(name_of(*one));
  fail("[torch] {}: expected one model, found {}: {}; save the one that is meant by itself", file, places.size(),
       fmt::join(places, ", "));
}

}  // namespace

const PickleValue* tensor_call(const PickleValue* value) {
  if (!value->is(Kind::kCall)) return nullptr;
  const PickleValue& function = *value->items()[0];
  // A parameter is the call of the tensor in it (pickle.h); one that still stands here has none.
  const bool tensor = function.module() == "torch._utils" && function.name().starts_with(kRebuildTensor) &&
                      function.name() != "_rebuild_parameter" && function.name() != "_rebuild_parameter_with_state";
  return tensor ? value : nullptr;
}

ChosenDict choose_dict(const PickleValue& root, const ReadOptions& options, const std::string& file) {
  if (root.is(Kind::kObject)) {
    fail("[torch] {}: expected a state_dict, found {}: a whole model was pickled; save model.state_dict() instead",
         file, root.description());
  }
  if (!root.is(Kind::kDict)) fail("[torch] {}: expected a dict of tensors, found {}", file, root.description());
  const Search search(root, options);
  const bool any_model = !search.models.empty();
  const std::vector<Candidate>& candidates = any_model ? search.models : search.tensors;
  const Candidate* const chosen = choose(candidates, options.averaged, file);
  if (chosen == nullptr) fail_without_tensors(root, file);
  ChosenDict result{chosen->dict, chosen->place, chosen->averaged, {}, search.nameless};
  for (const Candidate& one : candidates) {
    // Dicts that hold no model are worth a word only where weights are looked for.
    if (&one == chosen || (!any_model && (!one.known || one.place.empty()))) continue;
    for (const bool kind : {false, true}) {
      if (one.has(kind)) result.others.push_back({name_of(one), kind});
    }
  }
  return result;
}

}  // namespace gcvit::formats
