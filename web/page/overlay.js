// SPDX-License-Identifier: Apache-2.0
// An explanation's map as colours on its photo, as `gcvit explain` draws it (src/explain/overlay.cc).

const LONGEST = 1600;  // pixels of the canvas
const SHORTEST = 800;
const COLOURED = 256;  // pixels of the map's longer side, which the canvas enlarges

// L, a, b in Oklab, in the manner of matplotlib's viridis: those of src/explain/colours.cc.
const POINTS = [
  [0.29, 0.10, -0.09], [0.37, 0.06, -0.12], [0.45, -0.01, -0.10], [0.52, -0.06, -0.06], [0.59, -0.09, -0.02],
  [0.67, -0.13, 0.03], [0.75, -0.14, 0.10], [0.83, -0.11, 0.16], [0.92, -0.04, 0.19],
];

function encoded(linear) {
  const value = Math.min(1, Math.max(0, linear));
  return Math.round(255 * (value <= 0.0031308 ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055));
}

/** The colour [red, green, blue] of a share from 0 to 1, from dark to bright. */
export function colourOf(share) {
  const place = share * (POINTS.length - 1);
  const first = Math.min(Math.floor(place), POINTS.length - 2);
  const [lightness, a, b] = POINTS[first].map((value, i) => value + (place - first) * (POINTS[first + 1][i] - value));
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3;
  return [encoded(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    encoded(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    encoded(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s)];
}

const COLOURS = Array.from({length: 256}, (_, i) => colourOf(i / 255));

/** The legend's colours, for CSS. */
export function gradient() {
  const stops = Array.from({length: 9}, (_, i) => `rgb(${COLOURS[Math.round(i * 255 / 8)].join(' ')})`);
  return `linear-gradient(to right, ${stops.join(', ')})`;
}

/** Whether a map points at anything. */
export const hasEvidence = explanation => !explanation.empty && explanation.range[1] > 0;

/** The value at a place in cells, between the centres of four of them. */
function valueAt({height, width, values}, y, x) {
  const row = Math.min(height - 1, Math.max(0, y - 0.5));
  const column = Math.min(width - 1, Math.max(0, x - 0.5));
  const top = Math.floor(row), left = Math.floor(column);
  const bottom = Math.min(height - 1, top + 1), right = Math.min(width - 1, left + 1);
  const along = row => values[row * width + left] * (left + 1 - column) + values[row * width + right] * (column - left);
  return along(top) * (top + 1 - row) + along(bottom) * (row - top);
}

/** The map's colours, without the photo. */
function colouredMap({map, range}) {
  const scale = COLOURED / Math.max(map.height, map.width);
  const canvas = document.createElement('canvas');
  canvas.height = Math.max(1, Math.round(scale * map.height));
  canvas.width = Math.max(1, Math.round(scale * map.width));
  const context = canvas.getContext('2d');
  const image = context.createImageData(canvas.width, canvas.height);
  let at = 0;
  for (let y = 0; y < canvas.height; ++y) {
    for (let x = 0; x < canvas.width; ++x) {
      const value = valueAt(map, (y + 0.5) / canvas.height * map.height, (x + 0.5) / canvas.width * map.width);
      image.data.set(COLOURS[Math.round(255 * Math.min(1, Math.max(0, value) / range[1]))], at);
      image.data[at + 3] = 255;
      at += 4;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** The canvas gets the photo's proportions, and as many pixels as a screen shows of it. */
export function fit(canvas, {width, height}) {
  const longer = Math.max(width, height);
  const scale = Math.min(LONGEST, Math.max(SHORTEST, longer)) / longer;
  canvas.width = Math.max(1, Math.round(scale * width));
  canvas.height = Math.max(1, Math.round(scale * height));
}

/** The rectangle that the model saw, in the canvas' pixels. */
function seenOn(canvas, {seen, photo}) {
  const across = canvas.width / photo.width, down = canvas.height / photo.height;
  return [seen.left * across, seen.top * down, seen.width * across, seen.height * down];
}

/** Whether the model saw less than the photo. */
export function isCropped({seen, photo}) {
  return seen.left > 0.5 || seen.top > 0.5 || seen.width < photo.width - 1 || seen.height < photo.height - 1;
}

/** Draws one photo, under an explanation or not. It keeps the map's colours, so that moving the opacity is quick. */
export class Overlay {
  #canvas;
  #picture = null;
  #explanation = null;
  #coloured = null;

  constructor(canvas) {
    this.#canvas = canvas;
  }

  show(picture) {
    this.#picture?.close();
    this.#picture = picture;
    this.#explanation = null;
    if (picture) fit(this.#canvas, picture);
    this.draw(0);
  }

  explain(explanation) {
    if (explanation === this.#explanation) return;
    this.#explanation = explanation;
    this.#coloured = explanation && hasEvidence(explanation) ? colouredMap(explanation) : null;
  }

  draw(opacity) {
    const canvas = this.#canvas;
    const context = canvas.getContext('2d');
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!this.#picture) return;
    context.imageSmoothingQuality = 'high';
    context.drawImage(this.#picture, 0, 0, canvas.width, canvas.height);
    if (!this.#explanation) return;
    const [left, top, width, height] = seenOn(canvas, this.#explanation);
    if (isCropped(this.#explanation)) {
      context.save();
      const unseen = new Path2D();
      unseen.rect(0, 0, canvas.width, canvas.height);
      unseen.rect(left, top, width, height);
      context.clip(unseen, 'evenodd');
      context.globalCompositeOperation = 'saturation';
      context.fillStyle = 'grey';
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.globalCompositeOperation = 'source-over';
      context.fillStyle = 'rgb(0 0 0 / 60%)';
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.restore();
    }
    if (!this.#coloured) return;
    context.globalAlpha = opacity;
    context.drawImage(this.#coloured, left, top, width, height);
    context.globalAlpha = 1;
  }

  /** What the model saw of the photo, onto another canvas. */
  drawSeen(canvas, explanation) {
    if (!this.#picture) return;
    const across = this.#picture.width / explanation.photo.width;
    const {left, top, width, height} = explanation.seen;
    canvas.width = 320;
    canvas.height = Math.max(1, Math.round(320 * height / width));
    canvas.getContext('2d').drawImage(
        this.#picture, left * across, top * across, width * across, height * across, 0, 0, canvas.width, canvas.height);
  }
}
