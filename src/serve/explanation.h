// SPDX-License-Identifier: Apache-2.0
// Explanations and features of a photo, as answers have them.
#pragma once

#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "gcvit/explain.h"
#include "gcvit/image.h"
#include "gcvit/overlay.h"
#include "gcvit/session.h"
#include "image/decode.h"
#include "image/preprocess.h"
#include "serve/queries.h"

namespace gcvit::serve {

struct PhotoExplanation {
  Explanation explanation;
  ExplainOptions options;
  image::Image photo;  ///< upright
  image::Area seen;    ///< what the model's input shows of it, in its pixels
};

/// Throws `Error`: of code kCancelled once `stop` asks for it, a `Refusal` 503 where the model may take too little memory for it.
PhotoExplanation explain_photo(Explainer& explainer, const Image& photo, const ExplainOptions& options,
                               const std::stop_token& stop);

/// A PNG, as `overlay_png` draws it.
std::string overlay_of(const PhotoExplanation& explained, const OverlayOptions& options);

/// {"method":"grad-cam","level":0,"index":2,"label":"roses","score":3.1,"score_is":"logit",...} with "overlay", a PNG in Base64.
std::string explanation_with_overlay_json(const PhotoExplanation& explained);

/// The same with the map's values instead of the overlay, the model's name and the time.
std::string explanation_json(const PhotoExplanation& explained, std::string_view model_name, double milliseconds);

/// {"feature":"pooled","shape":[256],"model":"flowers","milliseconds":12.3,"values":[...]}. Throws a `Refusal` 500 where a value isn't
/// finite.
std::string features_json(Feature feature, const ValueShape& shape, std::span<const float> values,
                          std::string_view model_name, double milliseconds);

}  // namespace gcvit::serve
