// SPDX-License-Identifier: Apache-2.0
// gcvit pull: official weight files from where they are published.
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/description.h"
#include "cli/output.h"
#include "hub/cache.h"
#include "hub/pull.h"
#include "base/build_options.h"
#include "base/error.h"
#include "base/printable.h"

namespace gcvit::cli {
namespace {

struct Options {
  std::string name;
  std::string folder;
  bool list = false;
  bool json = false;
};

/// The path of a pulled file. A changed file is reported and counts as not pulled.
std::optional<std::string> pulled_path(const hub::OfficialFile& file) {
  try {
    return hub::find_in_cache(file);
  } catch (const Error& error) {
    notice(error.what());
    return std::nullopt;
  }
}

/// The shorter names of a file.
std::vector<std::string> aliases_of(const hub::OfficialFile& file) {
  std::string variant = file.name.substr(0, file.name.find('.'));
  const std::optional<hub::OfficialFile> meant = hub::find_official(variant);
  if (!meant || meant->name != file.name) return {};
  return {std::move(variant)};
}

int list(const Options& options) {
  Json files = Json::array();
  std::string text;
  for (const hub::OfficialFile& file : hub::official_files()) {
    const std::optional<std::string> path = pulled_path(file);
    Json json{{"name", file.name}, {"url", file.url}};
    json["file"] = path ? Json(*path) : Json(nullptr);
    json["aliases"] = aliases_of(file);
    json["path"] = hub::path_in_cache(file);
    json["size"] = file.size == 0 ? Json(nullptr) : Json(file.size);
    json["sha256"] = file.sha256;
    files.push_back(std::move(json));
    text += fmt::format("{:<24}{:<8}{}\n", file.name, path ? "pulled" : "", file.url);
  }
  if (options.json) {
    print_json(Json{{"licence", hub::kLicence}, {"files", std::move(files)}});
  } else {
    print(fmt::format("{}Licence of all: {}, not for commercial use. They are pulled to {}\n", text, hub::kLicence,
                      printable(hub::cache_folder())));
  }
  return 0;
}

/// How to get the file without the network that just failed.
void notice_other_ways(const Options& options, const hub::OfficialFile& file) {
  const std::string place =
      options.folder.empty() ? hub::path_in_cache(file) : fmt::format("{}/{}", options.folder, file.file_name);
  notice(fmt::format("by hand: download {} elsewhere, put it at {}, and run the same command again, which checks it",
                     file.url, place));
  notice(fmt::format("from a mirror: set GCVIT_HUB_URL to the address of a folder that has {}", file.file_name));
}

hub::Pulled bring(const hub::OfficialFile& file, const std::string& folder, const hub::Listener& listener) {
  if constexpr (kWithDownloads) return hub::pull(file, folder, listener);
  if (const std::optional<hub::Pulled> pulled = hub::check_pulled(file, folder, listener)) return *pulled;
  fail(
      "[pull] {}: this program doesn't download: expected {} there, found no file; gcvit_cpp.pull(\"{}\") of Python "
      "downloads it",
      hub::path_in(folder, file), file.url, file.name);
}

int pull(const Options& options) {
  const std::optional<hub::OfficialFile> file = hub::find_official(options.name);
  if (!file) {
    throw UsageError(fmt::format("NAME: expected an official weight file as `gcvit pull --list` shows them, found {}",
                                 options.name));
  }
  notice(fmt::format("{} is published under {}: not for commercial use", file->name, hub::kLicence));

  std::optional<Progress> progress;
  std::uint64_t known_total = 0;
  hub::Listener listener;
  listener.bytes = [&](std::uint64_t done, std::uint64_t total) {
    if (!progress || total != known_total) progress.emplace(total, Progress::Unit::kBytes, done);
    known_total = total;
    progress->set(done);
  };
  listener.notice = [&](const std::string& sentence) {
    if (progress) progress->clear();
    notice(sentence);
  };
  hub::Pulled pulled;
  try {
    pulled = bring(*file, options.folder.empty() ? hub::cache_folder() : options.folder, listener);
  } catch (const Error& error) {
    progress.reset();
    if (error.code() != ErrorCode::kIo || !std::string_view(error.what()).starts_with("[pull] ")) throw;
    notice(error.what());
    notice_other_ways(options, *file);
    return 1;
  }
  progress.reset();

  if (options.json) {
    print_json(Json{{"name", file->name},
                    {"file", pulled.path},
                    {"size", pulled.size},
                    {"sha256", pulled.sha256},
                    {"licence", hub::kLicence},
                    {"downloaded", pulled.downloaded}});
  } else {
    print(fmt::format("{}\n  {} bytes, SHA-256 {}{}\n", printable(pulled.path),
                      with_commas(static_cast<std::int64_t>(pulled.size)), pulled.sha256,
                      pulled.downloaded ? "" : ", was there already"));
  }
  return 0;
}

int run(const Options& options) {
  if (options.list) return list(options);
  if (options.name.empty()) throw UsageError("NAME: expected an official weight file or --list, found neither");
  return pull(options);
}

}  // namespace

Command add_pull(CLI::App& program) {
  CLI::App* app = program.add_subcommand("pull", "Download an official weight file");
  const auto options = std::make_shared<Options>();
  std::vector<std::string> names;
  for (const hub::OfficialFile& file : hub::official_files()) names.push_back(file.name);
  CLI::Option* name =
      app->add_option("NAME", options->name,
                      "gcvit_VARIANT.PRODUCER, such as gcvit_xxtiny.keras, .timm or .nvlabs; -m accepts this name "
                      "afterwards")
          ->check(one_of(names));
  CLI::Option* to = app->add_option("--to", options->folder, "Folder to download to")
                        ->type_name("DIR")
                        ->default_str("the cache in which -m looks");
  app->add_flag("--list", options->list, "List all names, where the files come from and which are downloaded")
      ->excludes(name)
      ->excludes(to);
  add_json(*app, options->json);
  return {app, [options] { return run(*options); }};
}

}  // namespace gcvit::cli
